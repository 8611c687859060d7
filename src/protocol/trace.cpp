#include "protocol/trace.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>

namespace kerf::protocol {
namespace {

bool is_hex(std::string_view text) noexcept {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_zero(std::string_view text) noexcept {
  return std::ranges::all_of(text, [](char c) { return c == '0'; });
}

}  // namespace

std::optional<TraceParent> continue_trace(std::string_view header) noexcept {
  constexpr std::size_t kTrace = 3;
  constexpr std::size_t kSpan = 36;
  constexpr std::size_t kSpanSize = 16;
  constexpr std::size_t kFlags = 53;
  TraceParent parent;
  // A later version may have more behind; what is known of it is as in this one.
  const bool longer = header.size() > parent.size() && header[parent.size()] == '-';
  if (header.size() != parent.size() && !longer) return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  if (!is_hex(version) || version == "ff" || (version == "00" && longer)) return std::nullopt;
  const std::string_view trace = header.substr(kTrace, 32);
  const std::string_view span = header.substr(kSpan, kSpanSize);
  if (header[2] != '-' || header[kSpan - 1] != '-' || header[kFlags - 1] != '-' || !is_hex(trace) ||
      !is_hex(span) || !is_hex(header.substr(kFlags, 2)) || is_zero(trace) || is_zero(span)) {
    return std::nullopt;
  }
  std::copy_n(header.begin(), parent.size(), parent.begin());
  parent[0] = parent[1] = '0';
  thread_local std::mt19937_64 random(std::random_device{}());
  std::uint64_t id = random() | 1U;  // not zero
  for (std::size_t i = 0; i < kSpanSize; ++i, id >>= 4U) {
    parent[kSpan + i] = "0123456789abcdef"[id & 15U];
  }
  return parent;
}

}  // namespace kerf::protocol
