#include "protocol/json_number.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>

namespace kerf::protocol {
namespace {

bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') < 10; }

constexpr std::array<std::uint64_t, 9> kIntegerPowers{
    1, 10, 100, 1'000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};

// How many of eight characters, the first in the lowest byte, are digits before the first that is
// none: adding 0x46 or subtracting 0x30 sets the highest bit of every other character.
std::size_t leading_digits(std::uint64_t chunk) noexcept {
  const std::uint64_t others =
      ((chunk + 0x4646464646464646U) | (chunk - 0x3030303030303030U)) & 0x8080808080808080U;
  return static_cast<std::size_t>(std::countr_zero(others)) / 8;
}

// The number that eight digits, the first in the lowest byte, are (Johnny Lee's sum, as in
// fast_float): pairs, then fours, then all eight.
std::uint64_t eight_digits(std::uint64_t digits) noexcept {
  digits &= 0x0F0F0F0F0F0F0F0FU;
  digits = digits * 10 + (digits >> 8U);
  return (((digits & 0x000000FF000000FFU) * 0x000F424000000064U) +
          (((digits >> 16U) & 0x000000FF000000FFU) * 0x0000271000000001U)) >>
         32U;
}

std::uint64_t load(const char* p) noexcept {
  std::uint64_t chunk = 0;
  std::memcpy(&chunk, p, sizeof chunk);
  return chunk;
}

// `value` with `count` (0 to 8) digits of `chunk` behind it: they are moved to the end, with zeros
// before them.
std::uint64_t append_digits(std::uint64_t value, std::uint64_t chunk, std::size_t count) noexcept {
  const std::uint64_t digits = count == 0 ? 0 : chunk << (64 - 8 * count);
  return value * kIntegerPowers[count] + eight_digits(digits);
}

// Appends digits to `mantissa`, which wraps beyond 19 of them. Sixteen at a time and without a
// branch for each, because nobody can guess how long a number is.
const char* read_digits(const char* p, std::uint64_t& mantissa) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    for (;;) {
      const std::uint64_t first = load(p);
      const std::uint64_t second = load(p + 8);
      const std::size_t count = leading_digits(first);
      const std::size_t more = count == 8 ? leading_digits(second) : 0;
      mantissa = append_digits(append_digits(mantissa, first, count), second, more);
      p += count + more;
      if (more != 8) return p;
    }
  }
  for (; is_digit(*p); ++p) mantissa = mantissa * 10 + static_cast<std::uint64_t>(*p - '0');
  return p;
}

template <typename T>
const char* read_special(const char* p, bool negative, T& value) noexcept {
  const auto matches = [&](const char* token, std::size_t size) {
    return std::memcmp(p, token, size) == 0;
  };
  if (matches("NaN", 3) && !negative) {
    value = std::numeric_limits<T>::quiet_NaN();
    return p + 3;
  }
  const T infinity = std::numeric_limits<T>::infinity();
  if (matches("Infinity", 8)) {
    value = negative ? -infinity : infinity;
    return p + 8;
  }
  if (matches("Inf", 3)) {
    value = negative ? -infinity : infinity;
    return p + 3;
  }
  return nullptr;
}

constexpr std::array<double, 23> kPowersOfTen{1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                              1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                              1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// Rounds a correctly rounded double once more, to T. False where the two roundings could differ
// from one: at the midpoint between two floats, and where floats are subnormal or end.
bool narrow(double exact, double& value) noexcept {
  value = exact;
  return true;
}
bool narrow(double exact, float& value) noexcept {
  if ((std::bit_cast<std::uint64_t>(exact) & 0x1FFFFFFFU) == 0x10000000U) return false;
  const double magnitude = std::fabs(exact);
  if (magnitude != 0 && !(magnitude >= 0x1p-126 && magnitude < 0x1p127)) return false;
  value = static_cast<float>(exact);
  return true;
}

template <typename T>
const char* read(const char* text, T& value) noexcept {
  const char* p = text;
  const bool negative = *p == '-';
  p += negative ? 1 : 0;
  if (!is_digit(*p)) return read_special(p, negative, value);

  const char* digits = p;
  std::uint64_t mantissa = 0;
  for (; is_digit(*p); ++p) mantissa = mantissa * 10 + static_cast<std::uint64_t>(*p - '0');
  std::ptrdiff_t count = p - digits;
  if (*digits == '0' && count > 1) return nullptr;  // JSON has no leading zeros
  std::int64_t exponent = 0;
  if (*p == '.') {
    const char* fraction = ++p;
    p = read_digits(p, mantissa);
    if (p == fraction) return nullptr;
    exponent = fraction - p;
    count += p - fraction;
  }
  if (*p == 'e' || *p == 'E') {
    ++p;
    const bool down = *p == '-';
    if (*p == '-' || *p == '+') ++p;
    if (!is_digit(*p)) return nullptr;
    std::int64_t written = 0;
    for (; is_digit(*p); ++p) {
      if (written < 1'000'000) written = written * 10 + (*p - '0');
    }
    exponent += down ? -written : written;
  }

  // Clinger's fast path: both operands are exact doubles, so the result is correctly rounded.
  if (count <= 19 && mantissa <= (std::uint64_t{1} << 53U) && exponent >= -22 && exponent <= 22) {
    double exact = static_cast<double>(mantissa);
    const double power = kPowersOfTen[static_cast<std::size_t>(std::abs(exponent))];
    exact = exponent < 0 ? exact / power : exact * power;
    if (narrow(negative ? -exact : exact, value)) return p;
  }
  const std::from_chars_result result = std::from_chars(text, p, value);
  if (result.ec == std::errc::result_out_of_range) {
    // Digits before the point, roughly: what is out of range is far from 1 either way.
    if (exponent + count > 0 && mantissa != 0) return nullptr;
    value = negative ? T{-0.0} : T{0};
    return p;
  }
  return result.ptr == p ? p : nullptr;
}

}  // namespace

const char* read_float(const char* text, float& value) noexcept { return read(text, value); }
const char* read_float(const char* text, double& value) noexcept { return read(text, value); }

const char* read_integer(const char* text, bool& negative, std::uint64_t& magnitude) noexcept {
  const char* p = text;
  negative = *p == '-';
  if (negative) ++p;
  if (!is_digit(*p)) return nullptr;
  const char* digits = p;
  magnitude = 0;
  if (*p == '0') {
    ++p;
    if (is_digit(*p)) return nullptr;
  } else {
    for (; is_digit(*p) && p - digits < 19; ++p) {
      magnitude = magnitude * 10 + static_cast<std::uint64_t>(*p - '0');
    }
    if (is_digit(*p)) {
      const auto digit = static_cast<std::uint64_t>(*p++ - '0');
      if (__builtin_mul_overflow(magnitude, std::uint64_t{10}, &magnitude) ||
          __builtin_add_overflow(magnitude, digit, &magnitude) || is_digit(*p)) {
        return nullptr;
      }
    }
  }
  return *p == '.' || *p == 'e' || *p == 'E' ? nullptr : p;
}

}  // namespace kerf::protocol
