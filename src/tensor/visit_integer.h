#pragma once

#include <cstdint>

#include "kerf/error.h"
#include "kerf/tensor.h"

namespace kerf {

// Calls visitor(T{}) with the C++ type of the elements of an integer dtype, and returns what that
// returns. Throws Error(kInternal) for any other dtype: ask is_integer() first.
template <typename Visitor>
auto visit_integer(DType dtype, Visitor&& visitor) {
  switch (dtype) {
    case DType::kUInt8:
      return visitor(std::uint8_t{});
    case DType::kUInt16:
      return visitor(std::uint16_t{});
    case DType::kUInt32:
      return visitor(std::uint32_t{});
    case DType::kUInt64:
      return visitor(std::uint64_t{});
    case DType::kInt8:
      return visitor(std::int8_t{});
    case DType::kInt16:
      return visitor(std::int16_t{});
    case DType::kInt32:
      return visitor(std::int32_t{});
    case DType::kInt64:
      return visitor(std::int64_t{});
    default:
      throw Error(ErrorCode::kInternal, "not an integer type");
  }
}

}  // namespace kerf
