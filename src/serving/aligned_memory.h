#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace kerf::serving {

// Memory for tensors, aligned for any kernel, and reused. One thread at a time.
class AlignedMemory {
 public:
  // The bytes that a tensor of this size takes, so that the next one behind it is aligned too.
  static constexpr std::size_t aligned(std::size_t bytes) noexcept {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }
  // At least so many bytes; what was in it may be lost. Throws std::bad_alloc.
  std::byte* reserve(std::size_t bytes) {
    if (bytes > size_ || !memory_) {
      clear();
      const std::size_t size = aligned(std::max(bytes, kLeast));
      memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size)));
      if (!memory_) throw std::bad_alloc();
      size_ = size;
    }
    return memory_.get();
  }
  // Gives back what is more than `bytes`, which one large use has left.
  void shrink(std::size_t bytes) noexcept {
    if (size_ > bytes) clear();
  }
  void clear() noexcept {
    memory_.reset();
    size_ = 0;
  }

 private:
  static constexpr std::size_t kAlignment = 64;
  static constexpr std::size_t kLeast = 4096;
  struct Free {
    void operator()(std::byte* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

}  // namespace kerf::serving
