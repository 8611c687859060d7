#pragma once

#include <cstddef>
#include <cstdint>

namespace kerf::engine {

// Calls visitor(T{}) with an unsigned type of `size` bytes: kernels that only move elements need
// one instance a size, not one a dtype.
template <typename Visitor>
auto visit_unit(std::size_t size, Visitor&& visitor) {
  switch (size) {
    case 1:
      return visitor(std::uint8_t{});
    case 2:
      return visitor(std::uint16_t{});
    case 4:
      return visitor(std::uint32_t{});
    default:
      return visitor(std::uint64_t{});
  }
}

}  // namespace kerf::engine
