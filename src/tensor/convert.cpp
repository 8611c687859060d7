#include "tensor/convert.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kerf/error.h"
#include "tensor/visit_integer.h"

namespace kerf {
namespace {

float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t sign = (half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000U | (mantissa << 13U));
  return std::bit_cast<float>(sign | ((exponent + 112U) << 23U) | (mantissa << 13U));
}

// Rounds to nearest, ties to even.
std::uint16_t float_to_half(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16U) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);
  if (magnitude < 0x38800000U) {
    const float scaled = std::ldexp(std::bit_cast<float>(magnitude), 24);
    return static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(std::nearbyint(scaled)));
  }
  const std::uint32_t rounded = magnitude - 0x38000000U + 0xFFFU + ((magnitude >> 13U) & 1U);
  return static_cast<std::uint16_t>(sign | (rounded >> 13U));
}

std::uint16_t float_to_bfloat(float value) noexcept {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16U) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16U) & 1U)) >> 16U);
}

struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};

template <typename T>
auto widen(T value) noexcept {
  if constexpr (std::is_same_v<T, Half>) {
    return half_to_float(value.bits);
  } else if constexpr (std::is_same_v<T, BFloat>) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16U);
  } else {
    return value;
  }
}

// Float to integer truncates, as Keras' cast does; what does not fit saturates, NaN becomes 0.
template <typename To, typename From>
To converted(From value) noexcept {
  if constexpr (std::is_same_v<To, Half>) {
    return {float_to_half(static_cast<float>(value))};
  } else if constexpr (std::is_same_v<To, BFloat>) {
    return {float_to_bfloat(static_cast<float>(value))};
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    if (std::isnan(value)) return 0;
    if (value <= static_cast<From>(std::numeric_limits<To>::min())) {
      return std::numeric_limits<To>::min();
    }
    if (value >= static_cast<From>(std::numeric_limits<To>::max())) {
      return std::numeric_limits<To>::max();
    }
    return static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <typename Visitor>
void visit(DType dtype, const Visitor& visitor) {
  if (is_integer(dtype)) return visit_integer(dtype, visitor);
  switch (dtype) {
    case DType::kBool:
      return visitor(bool{});
    case DType::kFloat16:
      return visitor(Half{});
    case DType::kBFloat16:
      return visitor(BFloat{});
    case DType::kFloat32:
      return visitor(float{});
    case DType::kFloat64:
      return visitor(double{});
    default:
      break;
  }
  throw Error(ErrorCode::kInvalidArgument, "strings cannot be converted to numbers");
}

}  // namespace

void convert(DType from, const void* source, DType to, void* target, std::size_t count) {
  const auto* in = static_cast<const std::byte*>(source);
  auto* out = static_cast<std::byte*>(target);
  visit(to, [&](auto to_value) {
    using To = decltype(to_value);
    visit(from, [&](auto from_value) {
      using From = decltype(from_value);
      for (std::size_t i = 0; i < count; ++i) {
        From value;
        if constexpr (std::is_same_v<From, bool>) {
          value = in[i] != std::byte{0};  // a caller's bytes need not be 0 or 1
        } else {
          std::memcpy(&value, in + i * sizeof(From), sizeof(From));
        }
        const To result = converted<To>(widen(value));
        std::memcpy(out + i * sizeof(To), &result, sizeof(To));
      }
    });
  });
}

}  // namespace kerf
