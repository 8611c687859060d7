#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "kerf/error.h"
#include "protocol/infer_request.h"
#include "protocol/tensor_data.h"

namespace {

void write_back(kerf::DType dtype, const std::byte* data, std::size_t count) {
  kerf::protocol::Buffer text;
  kerf::protocol::append_binary_data(text, dtype, data, count);
  kerf::protocol::append_json_data(text, dtype, data, count);
}

}  // namespace

// An inference message: two bytes that say how much of the rest is JSON, then the body. What could
// be read is read on to its elements, as the server does once a plan says what is wanted.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kerf;
  if (size < 2) return 0;
  const std::size_t body_size = size - 2;
  const std::size_t json_size = std::min<std::size_t>(data[0] | data[1] << 8U, body_size);
  // Memory that ends where the promised padding ends, so that a byte too far is noticed.
  std::vector<char> body(body_size + protocol::kBodyPadding, 'x');
  std::memcpy(body.data(), data + 2, body_size);

  static protocol::InferRequest request;
  try {
    protocol::read_infer_request({body.data(), body_size}, json_size, request);
  } catch (const Error&) {  // one of the two right answers
    return 0;
  }
  for (const protocol::RequestInput& input : request.inputs) {
    try {
      const auto count = static_cast<std::size_t>(input.shape.element_count());
      if (count > size) continue;
      const DType wanted = is_floating(input.datatype)  ? DType::kFloat32
                           : is_integer(input.datatype) ? DType::kInt32
                                                        : input.datatype;
      const std::size_t bytes = count * element_size(wanted);
      const std::unique_ptr<std::byte[]> out(new std::byte[bytes]);
      if (!input.json.empty()) {
        protocol::Buffer unescaped;
        unescaped.reserve(input.json.size());
        protocol::read_json_data(input.json, input.datatype, wanted, input.shape, out.get(),
                                 unescaped);
        write_back(wanted, out.get(), count);
      } else {
        protocol::read_binary_data(input.binary, input.datatype, wanted, count, out.get());
        write_back(wanted, out.get(), count);
      }
    } catch (const Error&) {
      continue;
    }
  }
  return 0;
}
