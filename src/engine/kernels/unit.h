#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kerf::engine {

// Calls visitor(T{}) with a type of `size` bytes, an unsigned one or that of strings: kernels that
// only move elements need one instance a size, not one a dtype.
template <typename Visitor>
auto visit_unit(std::size_t size, Visitor&& visitor) {
  switch (size) {
    case 1:
      return visitor(std::uint8_t{});
    case 2:
      return visitor(std::uint16_t{});
    case 4:
      return visitor(std::uint32_t{});
    case 16:
      return visitor(std::string_view{});
    default:
      return visitor(std::uint64_t{});
  }
}

}  // namespace kerf::engine
