#include "program/fingerprint.h"

#include <farmhash.h>

#include <bit>
#include <cstring>

namespace kerf::program {

std::uint64_t fingerprint(std::string_view text) noexcept {
  return util::Fingerprint64(text.data(), text.size());
}

namespace {

struct SipState {
  std::uint64_t a;
  std::uint64_t b;
  std::uint64_t c;
  std::uint64_t d;

  void round() noexcept {
    a += b;
    c += d;
    b = std::rotl(b, 13) ^ a;
    d = std::rotl(d, 16) ^ c;
    a = std::rotl(a, 32);
    c += b;
    a += d;
    b = std::rotl(b, 17) ^ c;
    d = std::rotl(d, 21) ^ a;
    c = std::rotl(c, 32);
  }
  void take(std::uint64_t word) noexcept {
    d ^= word;
    round();
    round();
    a ^= word;
  }
};

}  // namespace

// Aumasson, Bernstein: SipHash, a fast short-input PRF, section 2.
std::uint64_t keyed_hash(std::string_view text, const HashKey& key) noexcept {
  SipState state{.a = key[0] ^ 0x736F6D6570736575U,
                 .b = key[1] ^ 0x646F72616E646F6DU,
                 .c = key[0] ^ 0x6C7967656E657261U,
                 .d = key[1] ^ 0x7465646279746573U};
  const std::uint64_t length = text.size();
  std::uint64_t word = 0;
  for (; text.size() >= sizeof(word); text.remove_prefix(sizeof(word))) {
    std::memcpy(&word, text.data(), sizeof(word));
    state.take(word);
  }
  word = length << 56U;
  for (std::size_t i = 0; i < text.size(); ++i) {
    word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
  }
  state.take(word);
  state.c ^= 0xFF;
  for (int i = 0; i < 4; ++i) state.round();
  return state.a ^ state.b ^ state.c ^ state.d;
}

std::uint64_t join_fingerprints(std::uint64_t a, std::uint64_t b) noexcept {
  constexpr std::uint64_t kMultiplier = 0xC6A4A7935BD1E995U;
  const auto shift_mix = [](std::uint64_t value) { return value ^ (value >> 47U); };
  std::uint64_t result = a ^ kMultiplier;
  result ^= shift_mix(b * kMultiplier) * kMultiplier;
  result *= kMultiplier;
  result = shift_mix(result) * kMultiplier;
  return shift_mix(result);
}

}  // namespace kerf::program
