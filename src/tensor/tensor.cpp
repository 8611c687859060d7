#include "kerf/tensor.h"

#include <fmt/format.h>

#include <cstring>
#include <utility>
#include <vector>

#include "kerf/error.h"
#include "tensor/convert.h"

namespace kerf {
Tensor::Tensor(DType dtype, const Shape& shape, std::shared_ptr<const void> data, std::size_t bytes)
    : dtype_(dtype), shape_(shape), data_(std::move(data)), bytes_(bytes) {
  if (!shape.is_static()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a tensor cannot have the shape {}", shape.to_string()));
  }
  const auto count = static_cast<std::size_t>(shape.element_count());
  const std::size_t size = dtype_size(dtype);
  std::size_t needed = 0;
  if (__builtin_mul_overflow(count, size, &needed)) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("a tensor of shape {} is too large", shape.to_string()));
  }
  if (size != 0 && needed != bytes) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a {} tensor of shape {} needs {} bytes, not {}", dtype_name(dtype),
                            shape.to_string(), needed, bytes));
  }
}

Tensor Tensor::copy_of(DType dtype, const Shape& shape, std::span<const std::byte> bytes) {
  // One byte at least, so that an empty tensor still has storage of its own.
  std::shared_ptr<std::byte[]> storage(
      new (std::align_val_t{64}) std::byte[std::max<std::size_t>(bytes.size(), 1)],
      [](std::byte* p) { ::operator delete[](p, std::align_val_t{64}); });
  if (!bytes.empty()) std::memcpy(storage.get(), bytes.data(), bytes.size());
  return {dtype, shape, std::shared_ptr<const void>(storage, storage.get()), bytes.size()};
}

Tensor Tensor::reshaped(const Shape& shape) const { return {dtype_, shape, data_, bytes_}; }

Tensor Tensor::cast(DType dtype) const {
  if (dtype == dtype_) return *this;
  const auto count = static_cast<std::size_t>(shape_.element_count());
  std::vector<std::byte> converted(count * dtype_size(dtype));
  convert(dtype_, data(), dtype, converted.data(), count);
  return copy_of(dtype, shape_, converted);
}

}  // namespace kerf
