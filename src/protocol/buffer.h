#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

namespace kerf::protocol {

// Bytes that grow and are reused. Unlike std::string, growing leaves new bytes unwritten, and the
// bytes before `headroom` are left free, so that what must stand before the rest can be put there
// last. One thread at a time.
class Buffer {
 public:
  explicit Buffer(std::size_t headroom = 0) : headroom_(headroom) {}

  char* data() noexcept { return memory_.get() + headroom_; }
  const char* data() const noexcept { return memory_.get() + headroom_; }
  std::size_t size() const noexcept { return size_; }
  std::size_t capacity() const noexcept { return capacity_; }
  std::string_view view() const noexcept { return {data(), size_}; }

  // Room for `bytes` more behind size(); returns where they go. Does not change size().
  char* reserve(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(size_ + bytes);
    return data() + size_;
  }
  // Counts `bytes` of what was reserved and written as content.
  void commit(std::size_t bytes) noexcept { size_ += bytes; }
  void append(std::string_view text) {
    std::copy(text.begin(), text.end(), reserve(text.size()));
    size_ += text.size();
  }
  void push_back(char c) {
    *reserve(1) = c;
    ++size_;
  }
  void resize(std::size_t size) {
    if (size > size_) reserve(size - size_);
    size_ = size;
  }
  // Forgets the content; gives memory back where a large message has left much of it.
  void clear() noexcept {
    size_ = 0;
    if (capacity_ > kKept) {
      memory_.reset();
      capacity_ = 0;
    }
  }

 private:
  static constexpr std::size_t kKept = std::size_t{1} << 18;
  struct Free {
    void operator()(char* memory) const noexcept { std::free(memory); }
  };

  void grow(std::size_t needed) {
    std::size_t capacity = capacity_ + capacity_ / 2;
    if (capacity < needed) capacity = needed;
    if (capacity < 1024) capacity = 1024;
    void* memory = std::realloc(memory_.get(), headroom_ + capacity);
    if (memory == nullptr) throw std::bad_alloc();
    static_cast<void>(memory_.release());
    memory_.reset(static_cast<char*>(memory));
    capacity_ = capacity;
  }

  std::size_t headroom_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  std::unique_ptr<char, Free> memory_;
};

}  // namespace kerf::protocol
