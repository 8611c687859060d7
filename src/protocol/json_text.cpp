#include "protocol/json_text.h"

#include <dragonbox/dragonbox.h>

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

namespace kerf::protocol {
namespace {

// Bytes of the UTF-8 sequence at text[0], 0 if it is not one (RFC 3629, table of well-formed
// bytes).
std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i, unsigned char low, unsigned char high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned char low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned char high = first == 0xED ? 0x9F : 0xBF;
    return continues(1, low, high) && continues(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned char low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xF4 ? 0x8F : 0xBF;
    const bool whole =
        continues(1, low, high) && continues(2, 0x80, 0xBF) && continues(3, 0x80, 0xBF);
    return whole ? 4 : 0;
  }
  return 0;
}

constexpr char kDigitPairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

int digit_count(std::uint64_t value) noexcept {
  static constexpr std::array<std::uint64_t, 20> kPowers = [] {
    std::array<std::uint64_t, 20> powers{};
    std::uint64_t power = 1;
    for (std::uint64_t& entry : powers) {
      entry = power;
      power *= 10;
    }
    return powers;
  }();
  const int bits = 64 - std::countl_zero(value | 1);
  const int guess = bits * 1233 >> 12;
  return guess + (value >= kPowers[static_cast<std::size_t>(guess)] ? 1 : 0);
}

// Writes `count` digits of `value` at `out`.
void write_digits(char* out, std::uint64_t value, int count) noexcept {
  char* p = out + count;
  while (p - out >= 2) {
    p -= 2;
    std::memcpy(p, kDigitPairs + (value % 100) * 2, 2);
    value /= 100;
  }
  if (p != out) *out = static_cast<char>('0' + value % 10);
}

char* put(char* out, std::string_view text) noexcept {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

// Decimals from 1e-4 to below 1e16 are written out, as Python's repr does; the rest gets an
// exponent.
char* write_decimal(char* out, std::uint64_t digits, int exponent) noexcept {
  const int count = digit_count(digits);
  const int point = count + exponent;  // digits before the decimal point
  if (point > 16 || point < -3) {
    write_digits(out + 1, digits, count);
    out[0] = out[1];
    if (count > 1) {
      out[1] = '.';
      out += count + 1;
    } else {
      out += 1;
    }
    int power = point - 1;
    *out++ = 'e';
    *out++ = power < 0 ? '-' : '+';
    if (power < 0) power = -power;
    const int width = power >= 100 ? 3 : 2;
    write_digits(out, static_cast<std::uint64_t>(power), width);
    return out + width;
  }
  if (point <= 0) {
    put(out, "0.000");
    out += 2 - point;
    write_digits(out, digits, count);
    return out + count;
  }
  if (exponent >= 0) {
    write_digits(out, digits, count);
    std::memset(out + count, '0', static_cast<std::size_t>(exponent));
    return put(out + point, ".0");
  }
  write_digits(out + 1, digits, count);
  std::memmove(out, out + 1, static_cast<std::size_t>(point));
  out[point] = '.';
  return out + count + 1;
}

template <typename T, typename Bits>
char* write(char* out, T value) noexcept {
  constexpr Bits kSign = Bits{1} << (sizeof(Bits) * 8 - 1);
  constexpr auto kInfinity = std::bit_cast<Bits>(std::numeric_limits<T>::infinity());
  const auto bits = std::bit_cast<Bits>(value);
  const Bits magnitude = bits & ~kSign;
  if (magnitude > kInfinity) return put(out, "NaN");
  if ((bits & kSign) != 0) *out++ = '-';
  if (magnitude == kInfinity) return put(out, "Infinity");
  if (magnitude == 0) return put(out, "0.0");
  const auto decimal = jkj::dragonbox::to_decimal(value, jkj::dragonbox::policy::sign::ignore,
                                                  jkj::dragonbox::policy::cache::full);
  return write_decimal(out, decimal.significand, decimal.exponent);
}

template <typename Integer>
void append_any_integer(Buffer& out, Integer value) {
  constexpr std::size_t kMost = 20;
  char* begin = out.reserve(kMost);
  out.commit(static_cast<std::size_t>(std::to_chars(begin, begin + kMost, value).ptr - begin));
}

}  // namespace

void append_string(Buffer& out, std::string_view text) {
  out.push_back('"');
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t plain = i;
    while (i < text.size() && static_cast<unsigned char>(text[i]) >= 0x20 &&
           static_cast<unsigned char>(text[i]) < 0x80 && text[i] != '"' && text[i] != '\\') {
      ++i;
    }
    out.append(text.substr(plain, i - plain));
    if (i == text.size()) break;
    const char c = text[i];
    const std::size_t sequence = utf8_sequence(text.substr(i));
    if (sequence > 1) {
      out.append(text.substr(i, sequence));
      i += sequence;
      continue;
    }
    ++i;
    if (sequence == 0) {
      out.append("\xEF\xBF\xBD");
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out.append("\\n");
    } else if (c == '\t') {
      out.append("\\t");
    } else if (c == '\r') {
      out.append("\\r");
    } else {
      static constexpr char kHex[] = "0123456789abcdef";
      out.append("\\u00");
      out.push_back(kHex[static_cast<unsigned char>(c) >> 4U]);
      out.push_back(kHex[static_cast<unsigned char>(c) & 15U]);
    }
  }
  out.push_back('"');
}

void append_integer(Buffer& out, std::int64_t value) { append_any_integer(out, value); }
void append_integer(Buffer& out, std::uint64_t value) { append_any_integer(out, value); }

char* write_float(char* out, float value) noexcept {
  return write<float, std::uint32_t>(out, value);
}
char* write_float(char* out, double value) noexcept {
  return write<double, std::uint64_t>(out, value);
}

void append_float(Buffer& out, float value) {
  char* begin = out.reserve(kFloatChars);
  out.commit(static_cast<std::size_t>(write_float(begin, value) - begin));
}
void append_float(Buffer& out, double value) {
  char* begin = out.reserve(kFloatChars);
  out.commit(static_cast<std::size_t>(write_float(begin, value) - begin));
}

}  // namespace kerf::protocol
