#include "layers/python/function_config.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string_view>

#include "kerf/error.h"
#include "layers/base64.h"
#include "layers/python/marshal.h"

namespace kerf::layers::python {
namespace {

namespace json = boost::json;

// Up to 2.0, Keras wrote each byte as the character of that number. Those above 255 came about
// where the bytes looked like "\u1234".
std::string from_characters(std::string_view text) {
  std::string bytes;
  constexpr std::string_view kHex = "0123456789abcdef";
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned character = length == 1 ? lead : lead & (0xffU >> (length + 1));
    if (i + length > text.size()) break;
    for (std::size_t n = 1; n < length; ++n) {
      character = character << 6 | (static_cast<unsigned char>(text[i + n]) & 0x3fU);
    }
    i += length;
    if (character < 256) {
      bytes += static_cast<char>(character);
    } else {
      bytes += "\\u";
      for (int shift = 12; shift >= 0; shift -= 4) bytes += kHex[character >> shift & 15];
    }
  }
  return bytes;
}

std::shared_ptr<const Code> code_of(const Config& config, std::string_view field,
                                    const json::value& text) {
  if (!text.is_string()) config.invalid(field, "holds no code");
  const std::string_view written = text.get_string();
  try {
    return read_code(is_base64(written) ? from_base64(written) : from_characters(written));
  } catch (const Error& error) {
    config.invalid(field, error.message());
  }
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// What tf.keras writes of a tuple: {"class_name": "__tuple__", "items": [...]}.
const json::array* array_of(const json::value& value) {
  if (const json::array* array = value.if_array()) return array;
  const json::object* object = value.if_object();
  const json::value* items = object == nullptr ? nullptr : object->if_contains("items");
  return items == nullptr ? nullptr : items->if_array();
}

}  // namespace

FunctionConfig read_function(const Config& config, std::string_view field) {
  FunctionConfig function;
  const json::value* value = config.find(field);
  if (value == nullptr) config.invalid(field, "is missing");
  if (const json::array* parts = array_of(*value)) {
    if (parts->empty()) config.invalid(field, "holds no code");
    function.code = code_of(config, field, (*parts)[0]);
    if (parts->size() > 1) function.defaults = (*parts)[1];
    if (parts->size() > 2) function.closure = (*parts)[2];
  } else if (const json::object* object = value->if_object()) {
    const json::value* inner = object->if_contains("config");
    if (text_at(*object, "class_name") == "__lambda__" && inner != nullptr && inner->is_object()) {
      const json::object& lambda = inner->get_object();
      const json::value* code = lambda.if_contains("code");
      function.code = code_of(config, field, code == nullptr ? json::value() : *code);
      if (const json::value* defaults = lambda.if_contains("defaults")) {
        function.defaults = *defaults;
      }
      if (const json::value* closure = lambda.if_contains("closure")) function.closure = *closure;
    } else {
      function.module = text_at(*object, "module");
      function.name = inner != nullptr && inner->is_string() ? std::string(inner->get_string())
                                                             : text_at(*object, "registered_name");
    }
  } else if (value->is_string()) {
    function.name = std::string(value->get_string());
    function.module = config.text("module", "");
  }
  if (function.code != nullptr) function.name = function.code->name;
  if (function.name.empty()) config.invalid(field, "names no function");
  return function;
}

}  // namespace kerf::layers::python
