#include "formats/file_buffer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <isa-l/crc.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPage = 4096;
// A piece a thread takes at a time, and the step in which it reads it: the sum is taken while the
// step is still in the cache.
constexpr std::uint64_t kPiece = std::uint64_t{8} << 20;
constexpr std::size_t kStep = std::size_t{256} << 10;

std::uintptr_t round_up(std::uintptr_t value, std::size_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

FileBuffer::FileBuffer(std::size_t size) : size_(size) {
  const bool large = size >= kHugePage;
  mapped_ = round_up(std::max<std::size_t>(size, 1), kPage) + (large ? kHugePage : 0);
  if (mapped_ >= size) {
    mapping_ = mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  if (mapping_ == nullptr || mapping_ == MAP_FAILED) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("there is no memory for {} bytes of the file", size));
  }
  const auto start = reinterpret_cast<std::uintptr_t>(mapping_);
  data_ = static_cast<std::byte*>(mapping_) + (large ? round_up(start, kHugePage) - start : 0);
  if (large) madvise(data_, size, MADV_HUGEPAGE);
}

FileBuffer::~FileBuffer() { munmap(mapping_, mapped_); }

void FileBuffer::discard(std::span<const std::byte> part) noexcept {
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t from = round_up(begin, kPage);
  const std::uintptr_t to = (begin + part.size()) / kPage * kPage;
  if (to > from) madvise(reinterpret_cast<void*>(from), to - from, MADV_DONTNEED);
}

void FileBuffer::keep_only(std::vector<std::span<const std::byte>> parts) noexcept {
  // Tensors that could not be used in place stand elsewhere.
  std::erase_if(parts, [&](const auto& part) { return !contains(part); });
  std::ranges::sort(parts, {}, [](const auto& part) { return part.data(); });
  const auto start = reinterpret_cast<std::uintptr_t>(data_);
  std::uintptr_t free_from = start;
  const auto release_until = [&](std::uintptr_t end) {
    if (end > free_from) discard({reinterpret_cast<const std::byte*>(free_from), end - free_from});
  };
  for (const auto& part : parts) {
    const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
    release_until(begin);
    free_from = std::max(free_from, begin + part.size());
  }
  release_until(round_up(start + size_, kPage));
}

InputFile::InputFile(const std::filesystem::path& file) : where_(file.string()) {
  descriptor_ = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("the file cannot be opened: {}", std::strerror(errno)), where_);
  }
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    throw Error(ErrorCode::kInvalidFile, "this is not a regular file", where_);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { close(descriptor_); }

void InputFile::read(std::uint64_t offset, std::span<std::byte> to) const {
  while (!to.empty()) {
    const ssize_t got = pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw Error(ErrorCode::kInvalidFile,
                  got == 0 ? "the file is truncated"
                           : fmt::format("the file cannot be read: {}", std::strerror(errno)),
                  where_);
    }
    offset += static_cast<std::uint64_t>(got);
    to = to.subspan(static_cast<std::size_t>(got));
  }
}

InputFile::Part InputFile::read_part(std::uint64_t offset, std::uint64_t size,
                                     const std::function<void(double)>& progress) const {
  Part part{.buffer = std::make_shared<FileBuffer>(size)};
  const std::uint64_t pieces = (size + kPiece - 1) / kPiece;
  std::vector<std::uint32_t> sums(pieces);
  std::atomic<std::uint64_t> next = 0;
  std::atomic<std::uint64_t> done = 0;
  const auto work = [&](const std::function<void(double)>& report) {
    for (std::uint64_t piece = next++; piece < pieces; piece = next++) {
      const std::uint64_t end = std::min(size, (piece + 1) * kPiece);
      std::uint32_t crc = 0;
      for (std::uint64_t at = piece * kPiece; at < end; at += kStep) {
        std::byte* to = part.buffer->data() + at;
        const auto length = static_cast<std::size_t>(std::min<std::uint64_t>(kStep, end - at));
        read(offset + at, {to, length});
        crc = crc32_gzip_refl(crc, reinterpret_cast<const unsigned char*>(to), length);
      }
      sums[piece] = crc;
      const double share = static_cast<double>(++done) / static_cast<double>(pieces);
      if (report) report(share);
    }
  };
  const std::uint64_t wanted =
      std::min<std::uint64_t>({4, std::max(1U, std::thread::hardware_concurrency()), pieces});
  std::exception_ptr failure;
  std::atomic<bool> failed = false;
  std::vector<std::thread> threads;
  const auto guarded = [&](const std::function<void(double)>& report) {
    try {
      work(report);
    } catch (...) {
      next = pieces;
      if (!failed.exchange(true)) failure = std::current_exception();
    }
  };
  try {
    while (threads.size() + 1 < wanted) threads.emplace_back(guarded, nullptr);
  } catch (const std::system_error&) {  // no more threads to be had: this one takes what is left
  }
  guarded(progress);
  for (std::thread& thread : threads) thread.join();
  if (failure) std::rethrow_exception(failure);
  for (std::uint64_t piece = 0; piece < pieces; ++piece) {
    const std::uint64_t length = std::min(kPiece, size - piece * kPiece);
    part.crc = static_cast<std::uint32_t>(
        crc32_combine(part.crc, sums[piece], static_cast<z_off_t>(length)));
  }
  return part;
}

}  // namespace kerf::formats
