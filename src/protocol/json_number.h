#pragma once

#include <cstdint>

namespace kerf::protocol {

// Reading single numbers out of JSON text. The text must be followed by at least 32 readable bytes
// and by something that is not part of a number. Each function returns the end of the number, or
// nullptr where there is none.

// The float or double nearest to the number's decimal value, ties to even, as std::from_chars gives
// it. Beyond JSON, the tokens NaN, Infinity, Inf and -Infinity, -Inf are read. Numbers too large
// for T fail; numbers too small become zero.
const char* read_float(const char* text, float& value) noexcept;
const char* read_float(const char* text, double& value) noexcept;

// An integer without fraction or exponent, as sign and magnitude. Magnitudes of more than 64 bits
// fail.
const char* read_integer(const char* text, bool& negative, std::uint64_t& magnitude) noexcept;

}  // namespace kerf::protocol
