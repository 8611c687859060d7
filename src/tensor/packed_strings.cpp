#include "tensor/packed_strings.h"

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "kerf/error.h"
#include "kerf/tensor.h"

namespace kerf {

using Length = std::uint32_t;

void read_packed_strings(std::span<const std::byte> packed, std::span<std::string_view> elements) {
  for (std::size_t i = 0; i < elements.size(); ++i) {
    Length length = 0;
    if (packed.size() < sizeof(length)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the strings end before element {} of {}; each needs its length in "
                              "four bytes before it",
                              i, elements.size()));
    }
    std::memcpy(&length, packed.data(), sizeof(length));
    packed = packed.subspan(sizeof(length));
    if (length > packed.size()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("element {} announces {} bytes, but {} are left", i, length, packed.size()));
    }
    elements[i] = {reinterpret_cast<const char*>(packed.data()), length};
    packed = packed.subspan(length);
  }
  if (!packed.empty()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} bytes follow the last of {} strings",
                                                         packed.size(), elements.size()));
  }
}

std::size_t packed_size(std::span<const std::string_view> elements) {
  std::size_t size = elements.size() * sizeof(Length);
  for (const std::string_view element : elements) {
    if (element.size() > std::numeric_limits<Length>::max()) {
      throw Error(ErrorCode::kResourceExhausted, "a string is longer than 4 GiB");
    }
    size += element.size();
  }
  return size;
}

std::byte* write_packed_strings(std::span<const std::string_view> elements, std::byte* out) {
  for (const std::string_view element : elements) {
    const auto length = static_cast<Length>(element.size());
    std::memcpy(out, &length, sizeof(length));
    out += sizeof(length);
    if (length != 0) std::memcpy(out, element.data(), length);
    out += length;
  }
  return out;
}

Tensor Tensor::of_strings(const Shape& shape, std::span<const std::string_view> elements) {
  if (!shape.is_static() || static_cast<std::size_t>(shape.element_count()) != elements.size()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("{} strings are no tensor of shape {}",
                                                         elements.size(), shape.to_string()));
  }
  std::vector<std::byte> packed(packed_size(elements));
  write_packed_strings(elements, packed.data());
  return copy_of(DType::kString, shape, packed);
}

std::vector<std::string_view> Tensor::strings() const {
  if (dtype_ != DType::kString) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("a {} tensor holds no strings", dtype_name(dtype_)));
  }
  // Each takes the bytes of its length at least: nothing is allocated for a lie.
  const auto count = static_cast<std::size_t>(shape_.element_count());
  if (count > bytes_ / sizeof(Length)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} bytes are too few for the strings of shape {}", bytes_,
                            shape_.to_string()));
  }
  std::vector<std::string_view> elements(count);
  read_packed_strings(bytes(), elements);
  return elements;
}

}  // namespace kerf
