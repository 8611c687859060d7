#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kerf/error.h"

namespace kerf::formats {

// Steps through the fields of one Protocol Buffers message on the wire, in the order in which they
// stand, and checks every length. The few messages that kerf reads need a handful of fields each
// (their numbers are in TensorFlow's .proto files); all others are stepped over. A value type over
// bytes that must outlive it.
//
//   for (ProtobufCursor fields(bytes, where); fields.next();) {
//     if (fields.is(1)) name = fields.bytes();
//   }
class ProtobufCursor {
 public:
  ProtobufCursor(std::string_view message, const std::string& where)
      : rest_(message), where_(&where) {}

  // Steps to the next field. Throws Error(kInvalidFile) where the message is damaged.
  bool next() {
    if (rest_.empty()) return false;
    const std::uint64_t key = take_varint();
    field_ = key >> 3U;
    if (field_ == 0 || field_ > kMaxField) damaged();
    switch (key & 7U) {
      case 0:
        type_ = Type::kNumber;
        number_ = take_varint();
        break;
      case 1:
        type_ = Type::kOther;
        take(8);
        break;
      case 2:
        type_ = Type::kBytes;
        bytes_ = take(take_varint());
        break;
      case 5:
        type_ = Type::kFixed;
        number_ = fixed32(take(4));
        break;
      default:  // groups, which no file of these kinds has
        damaged();
    }
    return true;
  }

  bool is(std::uint64_t field) const noexcept { return field_ == field; }
  // The value of this field. Throws Error(kInvalidFile) if it is of another type.
  std::uint64_t number() const { return type_ == Type::kNumber ? number_ : damaged(); }
  std::uint32_t fixed() const {
    return static_cast<std::uint32_t>(type_ == Type::kFixed ? number_ : damaged());
  }
  std::string_view bytes() const {
    if (type_ != Type::kBytes) damaged();
    return bytes_;
  }

  // For what stands in files without keys: a number, a run of bytes, what is left.
  std::uint64_t take_varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).front());
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    damaged();
  }
  std::string_view take(std::uint64_t size) {
    if (size > rest_.size()) damaged();
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return taken;
  }
  std::string_view rest() const noexcept { return rest_; }

  // A little-endian number. Precondition: at least four bytes.
  static std::uint32_t fixed32(std::string_view bytes) noexcept {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; ++i) {
      value |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    }
    return value;
  }

 private:
  enum class Type { kNumber, kFixed, kBytes, kOther };
  static constexpr std::uint64_t kMaxField = (std::uint64_t{1} << 29U) - 1;

  [[noreturn]] std::uint64_t damaged() const {
    throw Error(ErrorCode::kInvalidFile, "it is damaged: a record ends or is typed wrongly",
                *where_);
  }

  std::string_view rest_;
  const std::string* where_;
  std::uint64_t field_ = 0;
  Type type_ = Type::kOther;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
};

}  // namespace kerf::formats
