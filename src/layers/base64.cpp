#include "layers/base64.h"

#include <algorithm>
#include <array>

namespace kerf::layers {
namespace {

// The value of each digit of base64; -1 for what is none.
constexpr auto kDigits = [] {
  std::array<signed char, 256> digits{};
  digits.fill(-1);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    digits[static_cast<unsigned char>(kAlphabet[i])] = static_cast<signed char>(i);
  }
  return digits;
}();

}  // namespace

bool is_base64(std::string_view text) {
  return std::ranges::all_of(text, [](char c) {
    return c == '\n' || c == '\r' || c == '=' || kDigits[static_cast<unsigned char>(c)] >= 0;
  });
}

std::string from_base64(std::string_view text) {
  std::string bytes;
  unsigned held = 0;
  int bits = 0;
  for (const char c : text) {
    const int digit = kDigits[static_cast<unsigned char>(c)];
    if (digit < 0) continue;
    held = (held << 6 | static_cast<unsigned>(digit)) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(held >> bits & 0xff);
    }
  }
  return bytes;
}

}  // namespace kerf::layers
