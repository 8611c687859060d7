#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "kerf/error.h"
#include "kerf/tensor.h"

namespace kerf::engine {

// A bool as callers feed it: any byte that is not zero is true. Kernels write 0 or 1.
struct Truth {
  std::uint8_t byte = 0;
  Truth() = default;
  explicit Truth(bool value) noexcept : byte(value ? 1 : 0) {}
  bool value() const noexcept { return byte != 0; }
};

// Calls visitor(T{}) with the C++ type of a dtype that arithmetic kernels exist for.
template <typename Visitor>
auto visit_numeric(DType dtype, std::string_view op, Visitor&& visitor) {
  switch (dtype) {
    case DType::kBool:
      return visitor(Truth{});
    case DType::kUInt8:
      return visitor(std::uint8_t{});
    case DType::kInt32:
      return visitor(std::int32_t{});
    case DType::kInt64:
      return visitor(std::int64_t{});
    case DType::kFloat32:
      return visitor(float{});
    case DType::kFloat64:
      return visitor(double{});
    default:
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{} is not computed on {} tensors", op, dtype_name(dtype)));
  }
}

}  // namespace kerf::engine
