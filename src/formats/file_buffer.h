#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kerf::formats {

// Memory that a part of a file is read into, and that weights are then used in, in place: aligned
// to a huge page, and shared by every tensor that views it. Files are read rather than mapped,
// because a mapping of a file that somebody overwrites or truncates (`cp new.keras served.keras`)
// changes or kills the server that uses it.
class FileBuffer {
 public:
  // Zeroed memory. Throws Error(kResourceExhausted).
  explicit FileBuffer(std::size_t size);
  ~FileBuffer();
  FileBuffer(const FileBuffer&) = delete;
  FileBuffer& operator=(const FileBuffer&) = delete;

  std::byte* data() noexcept { return data_; }
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  std::string_view text() const noexcept { return {reinterpret_cast<const char*>(data_), size_}; }

  // Gives the pages that no part touches back to the system: an optimizer's state is twice as large
  // as the weights that are used. What is outside of the parts must not be read any more.
  void keep_only(std::vector<std::span<const std::byte>> parts) noexcept;
  // The opposite: those that lie in a part as a whole. Any thread, for parts that do not overlap.
  static void discard(std::span<const std::byte> part) noexcept;
  bool contains(std::span<const std::byte> part) const noexcept {
    return part.data() >= data_ && part.data() < data_ + size_;
  }

 private:
  void* mapping_ = nullptr;
  std::size_t mapped_ = 0;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// A file open for reading. One thread at a time, but for read(), which any may call.
class InputFile {
 public:
  // Throws Error(kNotFound) if it cannot be opened, Error(kInvalidFile) if it is no regular file.
  explicit InputFile(const std::filesystem::path& file);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const noexcept { return size_; }
  const std::string& where() const noexcept { return where_; }

  // Fills `to` from `offset` on. Throws Error(kInvalidFile) where the file ends before.
  void read(std::uint64_t offset, std::span<std::byte> to) const;

  // Reads a large part on several threads, with its CRC-32. `progress` is called from this thread
  // with the share done.
  struct Part {
    std::shared_ptr<FileBuffer> buffer;
    std::uint32_t crc = 0;
  };
  Part read_part(std::uint64_t offset, std::uint64_t size,
                 const std::function<void(double)>& progress) const;

 private:
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
  std::string where_;
};

}  // namespace kerf::formats
