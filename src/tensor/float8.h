#pragma once

#include <algorithm>
#include <cmath>

namespace kerf {

// The nearest float of 8 bits, 4 of them exponent, that has no infinity (E4M3FN); ties go to the
// even one, and what is larger than 448 becomes 448.
inline float to_float8(float x) noexcept {
  constexpr float kMost = 448;
  if (std::isnan(x)) return x;
  x = std::clamp(x, -kMost, kMost);
  int exponent = 0;
  std::frexp(x, &exponent);
  // Four significant bits, or what a number with the least exponent has.
  const float unit = std::ldexp(1.0F, std::max(exponent - 4, -9));
  return std::nearbyint(x / unit) * unit;
}

}  // namespace kerf
