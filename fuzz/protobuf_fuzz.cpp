#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/error.h"
#include "protocol/contents.h"
#include "protocol/infer_request.h"
#include "protocol/tensor_data.h"
#include "protocol/tensor_proto.h"

// A message of the gRPC protocols, by its first byte: a ModelInferRequest, or a tensor of
// TensorFlow's. What could be read is read on to its elements, as the server does once a plan says
// what is wanted.
namespace {

using namespace kerf;

void read_elements(const protocol::RequestInput& input, std::size_t size) {
  const auto count = static_cast<std::size_t>(input.shape.element_count());
  if (count > 8 * size) return;
  const DType wanted = is_floating(input.datatype)  ? DType::kFloat32
                       : is_integer(input.datatype) ? DType::kInt32
                                                    : input.datatype;
  const std::size_t bytes = count * element_size(wanted);
  // Whole words, as strings in memory are aligned.
  const std::unique_ptr<std::uint64_t[]> words(new std::uint64_t[bytes / 8 + 1]);
  auto* out = reinterpret_cast<std::byte*>(words.get());
  if (input.contents) {
    protocol::read_contents(*input.contents, input.datatype, wanted, count, out);
  } else if (!input.shared) {
    protocol::read_binary_data(input.binary, input.datatype, wanted, count, out);
  } else {
    return;
  }
  if (wanted != DType::kString) return;
  std::size_t letters = 0;
  for (std::size_t i = 0; i < count; ++i) {
    for (const char c : reinterpret_cast<const std::string_view*>(out)[i]) letters += c == 'a';
  }
  if (letters > size * 8) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::vector<char> copy(data + 1, data + size);  // so that a byte too far is noticed
  const std::string_view message(copy.data(), copy.size());
  static protocol::InferRequest request;
  try {
    if (data[0] % 2 == 0) {
      protocol::read_infer_message(message, request);
    } else {
      static tensorflow::TensorProto proto;
      if (!proto.ParseFromArray(message.data(), static_cast<int>(message.size()))) return 0;
      request.clear();
      protocol::add_input("x", proto, std::size_t{1} << 16, request);
    }
  } catch (const Error&) {  // one of the two right answers
    return 0;
  }
  for (const protocol::RequestInput& input : request.inputs) {
    try {
      read_elements(input, size);
    } catch (const Error&) {
      continue;
    }
  }
  return 0;
}
