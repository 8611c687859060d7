#include <boost/json/array.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#include "formats/graph_reader.h"
#include "kerf/error.h"
#include "layers/python/expression.h"

// The code of a Lambda layer, up to the operations that it is read as; and the same bytes as an
// expression of a user.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kerf::formats;
  namespace json = boost::json;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  // As Keras 1 writes bytes: characters of their numbers.
  json::string code;
  for (const std::uint8_t byte : std::basic_string_view<std::uint8_t>(data, size)) {
    if (byte < 0x80) {
      code += static_cast<char>(byte);
    } else {
      code += static_cast<char>(0xc0 | byte >> 6);
      code += static_cast<char>(0x80 | (byte & 0x3f));
    }
  }
  const json::object function{{"function", json::array{code, json::array{1.5}, json::array{2, 3}}},
                              {"batch_input_shape", json::array{nullptr, 2, 4, 3}},
                              {"name", "f"}};
  const json::object layer{{"class_name", "Lambda"}, {"config", function}};
  const json::object model{{"class_name", "Sequential"},
                           {"config", json::object{{"name", "m"}, {"layers", json::array{layer}}}}};
  try {
    Problems problems("fuzz");
    read_graph(read_spec(model, "fuzz"), KerasVersion{2, 15}, problems);
  } catch (const kerf::Error&) {  // one of the right answers
  }
  try {
    kerf::layers::python::Expression::parse(bytes);
  } catch (const kerf::Error&) {  // likewise
  }
  return 0;
}
