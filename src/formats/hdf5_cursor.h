#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace kerf::formats::hdf5 {

// "No address" in a file.
inline constexpr std::uint64_t kUndefined = ~std::uint64_t{0};

// Thrown where a structure of an HDF5 file does not hold what it must: what is wrong, for whoever
// knows which object is being read.
struct Damaged {
  const char* what;
};
// Thrown for what is valid, but what no file of Keras contains.
struct Unusual {
  const char* what;
};

// Little-endian fields of a structure, each checked against its end.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T take() {
    T value{};
    std::memcpy(&value, skip(sizeof(T)).data(), sizeof(T));
    return value;
  }
  // An unsigned integer of 1, 2, 4 or 8 bytes.
  std::uint64_t take_sized(std::size_t size) {
    std::uint64_t value = 0;
    std::memcpy(&value, skip(size).data(), size);
    return value;
  }
  std::span<const std::byte> skip(std::size_t count) {
    if (count > bytes_.size()) throw Damaged{"a structure is truncated"};
    const auto skipped = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return skipped;
  }
  std::string_view text(std::size_t count) {
    const auto taken = skip(count);
    return {reinterpret_cast<const char*>(taken.data()), taken.size()};
  }
  void expect(std::string_view signature) {
    if (text(signature.size()) != signature) throw Damaged{"a structure has a wrong signature"};
  }
  std::span<const std::byte> rest() const { return bytes_; }
  std::size_t left() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace kerf::formats::hdf5
