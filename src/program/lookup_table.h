#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kerf/tensor.h"

namespace kerf::program {

// An immutable map from byte strings to int64: what a vocabulary becomes. It lies in one uint8
// Tensor, so that it is a constant like any other, made once per model and shared by all runs. An
// integer key is its eight bytes. Any thread may look up; that allocates nothing.
class LookupTable {
 public:
  struct Entry {
    std::string_view key;
    std::int64_t value = 0;
  };

  // Throws Error(kInvalidFile) for a key that stands twice, Error(kResourceExhausted) for more keys
  // or longer ones than 32 bits can count.
  static Tensor pack(std::span<const Entry> entries);

  // Of memory that pack() filled, which must outlive it.
  explicit LookupTable(const void* packed) noexcept;

  // Null if it is not there.
  const std::int64_t* find(std::string_view key) const noexcept;
  const std::int64_t* find(std::int64_t key) const noexcept {
    return find({reinterpret_cast<const char*>(&key), sizeof(key)});
  }
  // Bytes of the longest key.
  std::size_t longest() const noexcept { return longest_; }

 private:
  struct Slot;
  std::size_t mask_ = 0;
  std::size_t longest_ = 0;
  const Slot* slots_ = nullptr;
  const char* text_ = nullptr;
};

}  // namespace kerf::program
