#include "protocol/examples_json.h"

#include "protocol/base64.h"
#include "protocol/infer_request.h"
#include "protocol/json_reading.h"

namespace kerf::protocol {
namespace {

namespace ondemand = simdjson::ondemand;

[[noreturn]] void invalid(std::string message, std::string where) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message), std::move(where));
}

void check_kind(const tensorflow::Feature& feature, tensorflow::Feature::KindCase kind,
                const std::string& name) {
  if (feature.kind_case() == tensorflow::Feature::KIND_NOT_SET || feature.kind_case() == kind) {
    return;
  }
  invalid("its values are of different kinds", "feature " + name);
}

void add_value(ondemand::value value, const std::string& name, tensorflow::Feature& feature) {
  const auto add_bytes = [&](std::string bytes) {
    check_kind(feature, tensorflow::Feature::kBytesList, name);
    feature.mutable_bytes_list()->add_value(std::move(bytes));
  };
  const auto add_integer = [&](std::int64_t integer) {
    check_kind(feature, tensorflow::Feature::kInt64List, name);
    feature.mutable_int64_list()->add_value(integer);
  };
  switch (expect_json(value.type(), "a value", name)) {
    case ondemand::json_type::string:
      return add_bytes(std::string(expect_json(value.get_string(), "a string", name)));
    case ondemand::json_type::boolean:
      return add_integer(expect_json(value.get_bool(), "true or false", name) ? 1 : 0);
    case ondemand::json_type::number: {
      const ondemand::number number = expect_json(value.get_number(), "a number", name);
      if (number.is_int64()) return add_integer(number.get_int64());
      if (number.is_uint64()) invalid("an integer needs more than 63 bits", "feature " + name);
      check_kind(feature, tensorflow::Feature::kFloatList, name);
      return feature.mutable_float_list()->add_value(static_cast<float>(number.get_double()));
    }
    case ondemand::json_type::object:
      for (auto entry : expect_json(value.get_object(), "an object", name)) {
        ondemand::field field = expect_json(std::move(entry), "a field", name);
        if (expect_json(field.unescaped_key(), "a key", name) == "b64") {
          auto bytes = decode_base64(expect_json(field.value().get_string(), "a string", name));
          if (!bytes) invalid("this is not base64", "feature " + name);
          return add_bytes(*std::move(bytes));
        }
        break;
      }
      [[fallthrough]];
    default:
      invalid("a value is a number, a string, true, false or {\"b64\": base64}", "feature " + name);
  }
}

void read_example(ondemand::value value, tensorflow::Example& example) {
  auto& features = *example.mutable_features()->mutable_feature();
  for (auto entry : expect_json(value.get_object(), "an object", "examples[]")) {
    ondemand::field field = expect_json(std::move(entry), "a field", "examples[]");
    const std::string name(expect_json(field.unescaped_key(), "a key", "examples[]"));
    tensorflow::Feature& feature = features[name];
    ondemand::value given = field.value();
    if (expect_json(given.type(), "a value", name) != ondemand::json_type::array) {
      add_value(given, name, feature);
      continue;
    }
    for (auto element : expect_json(given.get_array(), "an array", name)) {
      add_value(expect_json(std::move(element), "a value", name), name, feature);
    }
  }
}

}  // namespace

std::string read_examples_json(std::span<const char> body, tensorflow::serving::Input& input) {
  thread_local ondemand::parser parser;
  ondemand::document document;
  const simdjson::error_code code =
      parser.iterate(body.data(), body.size(), body.size() + kBodyPadding).get(document);
  if (code != simdjson::SUCCESS) invalid_json(code);
  input.Clear();
  auto& list = *input.mutable_example_list_with_context();
  std::string signature;
  for (auto entry : expect_json(document.get_object(), "a JSON object", "the body")) {
    ondemand::field field = expect_json(std::move(entry), "a field", "the body");
    const std::string_view key = expect_json(field.unescaped_key(), "a key", "the body");
    if (key == "signature_name") {
      signature = expect_json(field.value().get_string(), "a string", "signature_name");
    } else if (key == "context") {
      read_example(field.value(), *list.mutable_context());
    } else if (key == "examples") {
      for (auto element : expect_json(field.value().get_array(), "an array", "examples")) {
        read_example(expect_json(std::move(element), "an object", "examples"),
                     *list.add_examples());
      }
    }
  }
  if (list.examples().empty()) invalid("must be an array of one example at least", "examples");
  return signature;
}

}  // namespace kerf::protocol
