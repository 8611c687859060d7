#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "kerf/error.h"
#include "protocol/examples_json.h"
#include "protocol/predict_json.h"
#include "protocol/tensor_data.h"

// A :predict or :classify body of TensorFlow Serving's REST interface, for a signature with inputs
// of three kinds or, by the first byte, of one. Tensors are read on to their elements, and written
// as a reply.
namespace {

using namespace kerf;

void read_and_write(const protocol::RequestInput& input, std::size_t size, bool row) {
  const auto count = static_cast<std::size_t>(input.shape.element_count());
  if (count > size) return;
  const std::size_t bytes = count * element_size(input.datatype);
  const std::unique_ptr<std::uint64_t[]> words(new std::uint64_t[bytes / 8 + 1]);
  auto* out = reinterpret_cast<std::byte*>(words.get());
  protocol::Buffer unescaped;
  if (!input.json.empty()) {
    protocol::read_json_data(input.json, input.datatype, input.datatype, input.shape, out,
                             unescaped);
  } else {
    protocol::read_binary_data(input.binary, input.datatype, input.datatype, count, out);
  }
  const protocol::InferTensors::Output output{.name = input.name,
                                              .datatype = input.datatype,
                                              .shape = input.shape,
                                              .data = out,
                                              .count = count,
                                              .bytes = 0,
                                              .shared = nullptr};
  protocol::Buffer text;
  protocol::write_predict_json(text, {&output, 1}, row);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t body_size = size - 1;
  // Memory that ends where the promised padding ends, so that a byte too far is noticed.
  std::vector<char> body(body_size + protocol::kBodyPadding, 'x');
  std::memcpy(body.data(), data + 1, body_size);
  serving::Signature signature{
      .name = data[0] % 2 == 0 ? serving::kDefaultSignature : "cut",
      .inputs = {{.name = "a", .dtype = DType::kFloat32, .shape = Shape{-1, 2}},
                 {.name = "b", .dtype = DType::kInt8, .shape = Shape{-1}},
                 {.name = "c_bytes", .dtype = DType::kString, .shape = Shape{-1, 1}}},
      .outputs = {}};
  if (data[0] % 8 >= 2) {
    signature.inputs = {signature.inputs[data[0] % 3U]};
  }
  static protocol::InferRequest request;
  try {
    const std::span<const char> text(body.data(), body_size);
    if (data[0] % 16 == 15) {
      tensorflow::serving::Input input;
      protocol::read_examples_json(text, input);
      return 0;
    }
    const protocol::PredictJson json = protocol::read_predict_json(text);
    protocol::read_predict_tensors(json, signature, request);
    for (const protocol::RequestInput& input : request.inputs) {
      read_and_write(input, size, json.row);
    }
  } catch (const Error&) {  // one of the two right answers
    return 0;
  }
  return 0;
}
