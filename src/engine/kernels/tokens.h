#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "program/op.h"

// Texts as their tokens (program::Tokens), which are compared with a vocabulary and never kept: a
// token that is longer than all of the vocabulary need not be known, so that what a text takes is
// bounded before it is seen.
namespace kerf::engine {

// What a byte of a text is.
enum : std::uint8_t { kSpace = 1, kPunctuation = 2, kUpper = 4 };
inline constexpr std::array<std::uint8_t, 256> kByteKinds = [] {
  std::array<std::uint8_t, 256> kinds{};
  for (const char c : std::string_view(" \t\n\v\f\r"))
    kinds[static_cast<unsigned char>(c)] = kSpace;
  for (unsigned c = 0x21; c < 0x7F; ++c) {
    const bool digit = c >= '0' && c <= '9';
    const bool upper = c >= 'A' && c <= 'Z';
    const bool lower = c >= 'a' && c <= 'z';
    if (upper) kinds[c] = kUpper;
    if (!digit && !upper && !lower) kinds[c] = kPunctuation;
  }
  return kinds;
}();

// A token as far as it fits; its true length may be larger.
class Piece {
 public:
  Piece(char* memory, std::size_t room, std::size_t length = 0) noexcept
      : memory_(memory), room_(room), length_(length) {}
  void clear() noexcept { length_ = 0; }
  void append(char c) noexcept {
    if (length_ < room_) memory_[length_] = c;
    ++length_;
  }
  void append(std::string_view text) noexcept {
    for (const char c : text) append(c);
  }
  void append(const Piece& other) noexcept {
    if (other.length_ != 0 && other.whole() && length_ + other.length_ <= room_) {
      std::memcpy(memory_ + length_, other.memory_, other.length_);
    }
    length_ += other.length_;
  }
  bool whole() const noexcept { return length_ <= room_; }
  std::string_view view() const noexcept { return {memory_, length_}; }

 private:
  char* memory_;
  std::size_t room_;
  std::size_t length_;
};

// The pieces that a text is split into, one after the other.
class Pieces {
 public:
  Pieces(const program::Tokens& tokens, std::string_view text) noexcept
      : split_(tokens.split), p_(text.data()), end_(text.data() + text.size()) {
    lower_ = tokens.lower ? kUpper : 0;
    strip_ = tokens.strip ? kPunctuation : 0;
  }

  // False if there is none.
  bool next(Piece& piece) noexcept {
    using Split = program::Tokens::Split;
    piece.clear();
    if (split_ == Split::kCharacters) return next_character(piece);
    const std::uint8_t ends = split_ == Split::kWhitespace ? kSpace : 0;
    int c = peek();
    while (c >= 0 && (kByteKinds[static_cast<unsigned>(c)] & ends) != 0) c = advance();
    if (c < 0 && (ends != 0 || ended_)) return false;
    ended_ = true;  // of a text that is not split
    for (; c >= 0 && (kByteKinds[static_cast<unsigned>(c)] & ends) == 0; c = advance()) {
      piece.append(static_cast<char>(c));
    }
    return true;
  }

 private:
  // The next byte of what is left of the text, or -1.
  int peek() noexcept {
    while (p_ != end_) {
      const auto c = static_cast<unsigned char>(*p_);
      const std::uint8_t kind = kByteKinds[c];
      if ((kind & strip_) == 0) return (kind & lower_) != 0 ? c + ('a' - 'A') : c;
      ++p_;
    }
    return -1;
  }
  int advance() noexcept {
    ++p_;
    return peek();
  }

  // A character of UTF-8. As much as could begin one, and does not go on, is one U+FFFD (the
  // Unicode Standard, section 3.9, "maximal subparts").
  bool next_character(Piece& piece) noexcept {
    const int first = peek();
    if (first < 0) return false;
    piece.append(static_cast<char>(first));
    int next = advance();
    if (first < 0x80) return true;
    int low = 0x80;
    int high = 0xBF;
    int more = 0;
    if (first >= 0xC2 && first <= 0xDF) {
      more = 1;
    } else if (first >= 0xE0 && first <= 0xEF) {
      more = 2;
      if (first == 0xE0) low = 0xA0;
      if (first == 0xED) high = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
      more = 3;
      if (first == 0xF0) low = 0x90;
      if (first == 0xF4) high = 0x8F;
    }
    const bool begins = more != 0;
    for (; more != 0 && next >= low && next <= high; --more, low = 0x80, high = 0xBF) {
      piece.append(static_cast<char>(next));
      next = advance();
    }
    if (more != 0 || !begins) {
      piece.clear();
      piece.append("\xEF\xBF\xBD");
    }
    return true;
  }

  program::Tokens::Split split_;
  std::uint8_t lower_ = 0;
  std::uint8_t strip_ = 0;
  bool ended_ = false;
  const char* p_;
  const char* end_;
};

// Goes through the tokens of texts, with memory for those that have up to `longest` bytes.
class TokenWalker {
 public:
  TokenWalker(program::Tokens tokens, std::size_t longest) noexcept
      : tokens_(std::move(tokens)), longest_(longest) {}

  std::size_t scratch_bytes() const noexcept {
    const auto widest = std::ranges::max_element(tokens_.widths);
    const bool joins = widest != tokens_.widths.end();
    return longest_ * (joins ? static_cast<std::size_t>(*widest) + 1 : 1);
  }

  // Calls visit(token) for each token of the text, until it returns false; with null for one that
  // has more bytes than `longest`.
  template <typename Visit>
  void walk(std::string_view text, std::byte* scratch, const Visit& visit) const {
    auto* memory = reinterpret_cast<char*>(scratch);
    if (tokens_.widths.empty()) {
      Piece piece(memory, longest_);
      for (Pieces pieces(tokens_, text); pieces.next(piece);) {
        if (!give(piece, visit)) return;
      }
      return;
    }
    for (const std::int64_t width : tokens_.widths) {
      if (!walk_grams(text, static_cast<std::size_t>(width), memory, visit)) return;
    }
  }

 private:
  template <typename Visit>
  static bool give(const Piece& piece, const Visit& visit) {
    if (!piece.whole()) return visit(static_cast<const std::string_view*>(nullptr));
    const std::string_view token = piece.view();
    return visit(&token);
  }

  // The last `width` pieces are kept, in turn.
  template <typename Visit>
  bool walk_grams(std::string_view text, std::size_t width, char* memory,
                  const Visit& visit) const {
    std::array<std::size_t, program::Tokens::kMostWidth> lengths{};
    Piece gram(memory, longest_);
    Pieces pieces(tokens_, text);
    for (std::size_t i = 0;; ++i) {
      char* const room = memory + (1 + i % width) * longest_;
      Piece piece(room, longest_);
      if (!pieces.next(piece)) return true;
      lengths[i % width] = piece.view().size();
      if (i + 1 < width) continue;
      gram.clear();
      for (std::size_t j = i + 1 - width; j <= i; ++j) {
        if (j != i + 1 - width) gram.append(' ');
        const std::size_t length = lengths[j % width];
        gram.append(Piece(memory + (1 + j % width) * longest_, longest_, length));
      }
      if (!give(gram, visit)) return false;
    }
  }

  program::Tokens tokens_;
  std::size_t longest_;
};

}  // namespace kerf::engine
