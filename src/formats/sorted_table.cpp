#include "formats/sorted_table.h"

#include <cstdint>

#include "formats/crc32c.h"
#include "formats/protobuf_cursor.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

constexpr std::size_t kFooter = 48;
constexpr std::size_t kTrailer = 5;  // the kind of compression and the check sum behind a block
constexpr std::string_view kMagic = "\x57\xfb\x80\x8b\x24\x75\x47\xdb";

using Entries = std::vector<std::pair<std::string, std::string_view>>;

class TableReader {
 public:
  TableReader(std::string_view file, const std::string& where) : file_(file), where_(where) {}

  Entries read() {
    if (file_.size() < kFooter || !file_.ends_with(kMagic)) {
      throw Error(ErrorCode::kInvalidFile, "this is not an index of variables, or it is truncated",
                  where_);
    }
    ProtobufCursor footer(file_.substr(file_.size() - kFooter, kFooter - kMagic.size()), where_);
    footer.take_varint();  // the block of metadata, which is empty
    footer.take_varint();
    Entries blocks;
    read_block(block(footer), blocks);
    Entries entries;
    for (const auto& [separator, handle] : blocks) {
      ProtobufCursor cursor(handle, where_);
      read_block(block(cursor), entries);
    }
    return entries;
  }

 private:
  // The contents of the block at the place that stands next. Blocks do not overlap, so that a small
  // file cannot cause much work.
  std::string_view block(ProtobufCursor& handle) {
    const std::uint64_t offset = handle.take_varint();
    const std::uint64_t size = handle.take_varint();
    const std::uint64_t end = file_.size() - kFooter;
    if (offset > end || size > end - offset || kTrailer > end - offset - size) {
      damaged("a block lies outside of the file");
    }
    total_ += size;
    if (total_ > file_.size()) damaged("its blocks overlap");
    const std::string_view contents = file_.substr(offset, size);
    const std::string_view trailer = file_.substr(offset + size, kTrailer);
    Crc32c crc;
    if (crc.add(contents).add(trailer.substr(0, 1)).masked() !=
        ProtobufCursor::fixed32(trailer.substr(1))) {
      damaged("the check sum of a block is wrong");
    }
    if (trailer.front() != 0) {
      throw Error(ErrorCode::kUnsupported,
                  "its blocks are compressed, which TensorFlow does not do; save the model again",
                  where_);
    }
    return contents;
  }

  void read_block(std::string_view contents, Entries& entries) {
    if (contents.size() < 4) damaged("a block is too small");
    const std::uint64_t restarts = ProtobufCursor::fixed32(contents.substr(contents.size() - 4));
    if (restarts > contents.size() / 4 - 1) damaged("a block is too small");
    ProtobufCursor cursor(contents.substr(0, contents.size() - 4 - 4 * restarts), where_);
    std::string key;
    bool first = true;
    while (!cursor.rest().empty()) {
      const std::uint64_t shared = cursor.take_varint();
      const std::uint64_t own = cursor.take_varint();
      const std::uint64_t value = cursor.take_varint();
      if (shared > key.size()) damaged("a key continues one that is shorter");
      key_bytes_ += shared;
      if (key_bytes_ > kShared * file_.size()) damaged("its keys are absurdly long");
      const std::string_view suffix = cursor.take(own);
      std::string next = key.substr(0, shared).append(suffix);
      const bool starts = first && entries.empty();
      const std::string& before = first && !starts ? entries.back().first : key;
      if (!starts && next <= before) damaged("its keys are not in order");
      first = false;
      key = std::move(next);
      entries.emplace_back(key, cursor.take(value));
    }
  }

  [[noreturn]] void damaged(const char* how) const {
    throw Error(ErrorCode::kInvalidFile, std::string("it is damaged: ") + how, where_);
  }

  // How much longer than the file its keys may be: names of variables share long beginnings.
  static constexpr std::uint64_t kShared = 64;

  std::string_view file_;
  const std::string& where_;
  std::uint64_t total_ = 0;
  std::uint64_t key_bytes_ = 0;
};

}  // namespace

Entries read_sorted_table(std::string_view file, const std::string& where) {
  return TableReader(file, where).read();
}

}  // namespace kerf::formats
