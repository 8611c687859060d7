#include "formats/archive.h"

#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

// APPNOTE.TXT of PKWARE, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.
constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kDirectoryEntry = 0x02014b50;
constexpr std::uint32_t kEndOfDirectory = 0x06054b50;
constexpr std::uint32_t kEndOfDirectory64 = 0x06064b50;
constexpr std::uint32_t kLocator64 = 0x07064b50;
constexpr std::size_t kEndSize = 22;
constexpr std::uint64_t kMaxDirectory = std::uint64_t{64} << 20;
constexpr std::uint32_t kSee64 = 0xffffffff;

// Little-endian fields of a record, each checked against its end.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, const std::string& where)
      : bytes_(bytes), where_(where) {}

  template <typename T>
  T take() {
    T value{};
    std::memcpy(&value, skip(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::span<const std::byte> skip(std::size_t count) {
    if (count > bytes_.size()) {
      throw Error(ErrorCode::kInvalidFile, "the zip directory is damaged", where_);
    }
    const auto skipped = bytes_.first(count);
    bytes_ = bytes_.subspan(count);
    return skipped;
  }
  std::string text(std::size_t count) {
    const auto taken = skip(count);
    return {reinterpret_cast<const char*>(taken.data()), count};
  }
  bool empty() const { return bytes_.empty(); }
  std::size_t left() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  const std::string& where_;
};

struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint64_t count = 0;
};

std::vector<std::byte> read_at(const InputFile& file, std::uint64_t offset, std::uint64_t size) {
  if (offset > file.size() || size > file.size() - offset) {
    throw Error(ErrorCode::kInvalidFile, "the zip directory is damaged, or the file truncated",
                file.where());
  }
  std::vector<std::byte> bytes(size);
  file.read(offset, bytes);
  return bytes;
}

Directory find_directory(const InputFile& file) {
  const std::uint64_t tail_size = std::min<std::uint64_t>(file.size(), kEndSize + 0xffff);
  const std::uint64_t tail_at = file.size() - tail_size;
  const std::vector<std::byte> tail = read_at(file, tail_at, tail_size);
  // The record stands at the end, but for a comment whose length it gives.
  for (std::size_t back = kEndSize; back <= tail.size(); ++back) {
    const std::size_t at = tail.size() - back;
    Fields end(std::span<const std::byte>(tail).subspan(at), file.where());
    if (end.take<std::uint32_t>() != kEndOfDirectory) continue;
    const auto disk = end.take<std::uint32_t>();
    end.skip(2);
    Directory directory{.offset = 0, .size = 0, .count = end.take<std::uint16_t>()};
    directory.size = end.take<std::uint32_t>();
    directory.offset = end.take<std::uint32_t>();
    if (end.take<std::uint16_t>() != end.left()) continue;
    if (disk != 0 && disk != kSee64) {
      throw Error(ErrorCode::kUnsupported, "a zip file of several volumes", file.where());
    }
    const std::uint64_t end_at = tail_at + at;
    if ((directory.count == 0xffff || directory.size == kSee64 || directory.offset == kSee64) &&
        end_at >= 20) {
      const auto bytes = read_at(file, end_at - 20, 20);
      Fields locator(bytes, file.where());
      if (locator.take<std::uint32_t>() == kLocator64) {
        locator.skip(4);
        const auto record_bytes = read_at(file, locator.take<std::uint64_t>(), 56);
        Fields record(record_bytes, file.where());
        if (record.take<std::uint32_t>() == kEndOfDirectory64) {
          record.skip(28);
          directory.count = record.take<std::uint64_t>();
          directory.size = record.take<std::uint64_t>();
          directory.offset = record.take<std::uint64_t>();
        }
      }
    }
    if (directory.size > kMaxDirectory || directory.size > end_at ||
        directory.offset > end_at - directory.size) {
      throw Error(ErrorCode::kInvalidFile, "the zip directory is damaged", file.where());
    }
    return directory;
  }
  throw Error(ErrorCode::kInvalidFile,
              "the zip file has no directory at its end; it is truncated or not a zip file",
              file.where());
}

}  // namespace

bool credible_size(std::uint64_t size, std::uint64_t stored) noexcept {
  // Weights hardly shrink; what is small anyway does no harm.
  return size <= (std::uint64_t{64} << 20) || size / 100 <= stored;
}

Archive::Archive(const InputFile& file) : file_(file) {
  const Directory directory = find_directory(file);
  directory_ = directory.offset;
  const std::vector<std::byte> bytes = read_at(file, directory.offset, directory.size);
  Fields fields(bytes, file.where());
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    if (fields.take<std::uint32_t>() != kDirectoryEntry) {
      throw Error(ErrorCode::kInvalidFile, "the zip directory is damaged", file.where());
    }
    fields.skip(4);
    Member member;
    member.flags = fields.take<std::uint16_t>();
    member.method = fields.take<std::uint16_t>();
    fields.skip(4);
    member.crc = fields.take<std::uint32_t>();
    member.stored_size = fields.take<std::uint32_t>();
    member.size = fields.take<std::uint32_t>();
    const auto name_length = fields.take<std::uint16_t>();
    const auto extra_length = fields.take<std::uint16_t>();
    const auto comment_length = fields.take<std::uint16_t>();
    fields.skip(8);
    member.header = fields.take<std::uint32_t>();
    const std::string name = fields.text(name_length);
    Fields extra(fields.skip(extra_length), file.where());
    fields.skip(comment_length);
    while (extra.left() >= 4) {
      const auto id = extra.take<std::uint16_t>();
      Fields field(extra.skip(extra.take<std::uint16_t>()), file.where());
      if (id != 1) continue;
      if (member.size == kSee64) member.size = field.take<std::uint64_t>();
      if (member.stored_size == kSee64) member.stored_size = field.take<std::uint64_t>();
      if (member.header == kSee64) member.header = field.take<std::uint64_t>();
    }
    if (!members_.emplace(name, member).second) {
      throw Error(ErrorCode::kInvalidFile,
                  fmt::format("the member '{}' stands twice in the zip file", name), file.where());
    }
    names_.push_back(name);
  }
}

std::uint64_t Archive::data_of(const std::string& name, const Member& member) const {
  const auto bytes = read_at(file_, member.header, 30);
  Fields header(bytes, file_.where());
  const bool is_header = header.take<std::uint32_t>() == kLocalHeader;
  header.skip(4);
  const auto method = header.take<std::uint16_t>();
  header.skip(16);
  const auto name_length = header.take<std::uint16_t>();
  const auto extra_length = header.take<std::uint16_t>();
  const std::uint64_t data = member.header + 30 + name_length + extra_length;
  const auto own_name = read_at(file_, member.header + 30, name_length);
  const bool same = std::ranges::equal(std::as_bytes(std::span(name)), own_name);
  if (!is_header || method != member.method || !same || data > directory_ ||
      member.stored_size > directory_ - data) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("the member '{}' is not where the zip directory says", name),
                file_.where());
  }
  return data;
}

std::shared_ptr<FileBuffer> Archive::read(const std::string& name, std::uint64_t limit,
                                          const std::function<void(double)>& progress) const {
  const auto found = members_.find(name);
  if (found == members_.end()) {
    throw Error(ErrorCode::kInvalidFile, fmt::format("it has no {}", name), file_.where());
  }
  const Member& member = found->second;
  if ((member.flags & 1U) != 0) {
    throw Error(ErrorCode::kUnsupported, fmt::format("the member '{}' is encrypted", name),
                file_.where());
  }
  constexpr std::uint16_t kStored = 0;
  constexpr std::uint16_t kDeflated = 8;
  if (member.method != kStored && member.method != kDeflated) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the member '{}' is compressed by method {}; zip it by 'store' or "
                            "'deflate'",
                            name, member.method),
                file_.where());
  }
  const bool lies = member.method == kStored && member.size != member.stored_size;
  if (lies || member.size > limit || !credible_size(member.size, member.stored_size)) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("the member '{}' claims {} bytes in {}, which looks like a zip bomb",
                            name, member.size, member.stored_size),
                file_.where());
  }
  const std::uint64_t data = data_of(name, member);
  InputFile::Part part = file_.read_part(data, member.stored_size, progress);
  if (member.method == kDeflated) {
    const auto stored = part.buffer;
    part.buffer = std::make_shared<FileBuffer>(member.size);
    const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> inflater(
        libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
    if (!inflater || libdeflate_deflate_decompress(inflater.get(), stored->data(),
                                                   stored->bytes().size(), part.buffer->data(),
                                                   member.size, nullptr) != LIBDEFLATE_SUCCESS) {
      throw Error(ErrorCode::kInvalidFile,
                  fmt::format("the compressed data of the member '{}' is damaged", name),
                  file_.where());
    }
    part.crc = libdeflate_crc32(0, part.buffer->data(), member.size);
  }
  if (part.crc != member.crc) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("the member '{}' is damaged: its check sum is wrong", name),
                file_.where());
  }
  return part.buffer;
}

}  // namespace kerf::formats
