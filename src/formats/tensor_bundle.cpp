#include "formats/tensor_bundle.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "formats/crc32c.h"
#include "formats/protobuf_cursor.h"
#include "formats/sorted_table.h"
#include "kerf/error.h"

// The messages and their field numbers: tensorflow/core/protobuf/tensor_bundle.proto and
// tensorflow/core/framework/{types,tensor_shape}.proto.
namespace kerf::formats {
namespace {

constexpr std::uint64_t kMaxIndex = std::uint64_t{256} << 20U;
constexpr std::uint64_t kMaxShards = 99'999;  // five digits in their names
constexpr std::uint64_t kString = 7;

std::optional<DType> dtype_of(std::uint64_t type) {
  switch (type) {
    case 1:
      return DType::kFloat32;
    case 2:
      return DType::kFloat64;
    case 3:
      return DType::kInt32;
    case 4:
      return DType::kUInt8;
    case 5:
      return DType::kInt16;
    case 6:
      return DType::kInt8;
    case 9:
      return DType::kInt64;
    case 14:
      return DType::kBFloat16;
    case 17:
      return DType::kUInt16;
    case 19:
      return DType::kFloat16;
    case 22:
      return DType::kUInt32;
    case 23:
      return DType::kUInt64;
    default:
      return std::nullopt;
  }
}

std::uint64_t read_header(std::string_view message, const std::string& where) {
  std::uint64_t shards = 0;
  for (ProtobufCursor fields(message, where); fields.next();) {
    if (fields.is(1)) shards = fields.number();
    if (fields.is(2) && fields.number() != 0) {
      throw Error(ErrorCode::kUnsupported, "the variables were written on a big-endian machine",
                  where);
    }
  }
  if (shards == 0 || shards > kMaxShards) {
    throw Error(ErrorCode::kInvalidFile, "its header names an impossible number of files", where);
  }
  return shards;
}

std::vector<std::int64_t> read_shape(std::string_view message, const std::string& key,
                                     const std::string& where) {
  std::vector<std::int64_t> dims;
  for (ProtobufCursor fields(message, where); fields.next();) {
    if (!fields.is(2)) continue;
    std::int64_t size = 0;
    for (ProtobufCursor dim(fields.bytes(), where); dim.next();) {
      if (dim.is(1)) size = static_cast<std::int64_t>(dim.number());
    }
    dims.push_back(size);
    if (size < 0 || dims.size() > Shape::kMaxRank) {
      throw Error(ErrorCode::kInvalidFile, fmt::format("'{}' has an impossible shape", key), where);
    }
  }
  return dims;
}

BundleEntry read_entry(std::string_view message, const std::string& key, const std::string& where) {
  BundleEntry entry;
  for (ProtobufCursor fields(message, where); fields.next();) {
    if (fields.is(1)) entry.type = fields.number();
    if (fields.is(2)) entry.dims = read_shape(fields.bytes(), key, where);
    if (fields.is(3)) entry.shard = fields.number();
    if (fields.is(4)) entry.offset = fields.number();
    if (fields.is(5)) entry.size = fields.number();
    if (fields.is(6)) entry.crc = fields.fixed();
    if (fields.is(7)) entry.sliced = true;
  }
  return entry;
}

std::shared_ptr<FileBuffer> read_index_file(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > kMaxIndex) {
    throw Error(ErrorCode::kInvalidFile, "the file is absurdly large", file.where());
  }
  return file.read_part(0, file.size(), {}).buffer;
}

}  // namespace

BundleIndex read_bundle_index(std::string_view file, const std::string& where) {
  BundleIndex index;
  for (const auto& [key, value] : read_sorted_table(file, where)) {
    if (key.empty()) {
      index.shards = read_header(value, where);
    } else {
      index.entries.emplace_hint(index.entries.end(), key, read_entry(value, key, where));
    }
  }
  if (index.shards == 0) throw Error(ErrorCode::kInvalidFile, "it has no header", where);
  return index;
}

TensorBundle::TensorBundle(std::filesystem::path prefix, std::function<void(double)> progress)
    : prefix_(std::move(prefix)),
      where_(prefix_.string() + ".index"),
      progress_(std::move(progress)) {
  index_ = read_bundle_index(read_index_file(where_)->text(), where_);
}

const BundleEntry& TensorBundle::entry(std::string_view key) const {
  const auto found = index_.entries.find(key);
  if (found == index_.entries.end()) damaged(key, "is missing");
  if (found->second.sliced) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the variable '{}' is partitioned; save the model without", key),
                where_);
  }
  return found->second;
}

Tensor TensorBundle::tensor(std::string_view key) {
  const BundleEntry& found = entry(key);
  const std::optional<DType> dtype = dtype_of(found.type);
  if (!dtype) {
    throw Error(
        ErrorCode::kUnsupported,
        fmt::format("the variable '{}' holds TensorFlow's type {}, which kerf does not read", key,
                    found.type),
        where_);
  }
  std::uint64_t size = dtype_size(*dtype);
  for (const std::int64_t dim : found.dims) {
    if (__builtin_mul_overflow(size, static_cast<std::uint64_t>(dim), &size)) {
      damaged(key, "has an impossible shape");
    }
  }
  if (size != found.size) damaged(key, "has another size than its shape needs");
  const std::string_view data = bytes(found, key);
  if (Crc32c().add(data).masked() != found.crc) damaged(key, "has a wrong check sum");
  const Shape shape(std::span<const std::int64_t>(found.dims));
  if (reinterpret_cast<std::uintptr_t>(data.data()) % dtype_size(*dtype) != 0) {
    return Tensor::copy_of(*dtype, shape, std::as_bytes(std::span(data)));
  }
  return {*dtype, shape, std::shared_ptr<const void>(shards_.at(found.shard), data.data()),
          data.size()};
}

std::string_view TensorBundle::text(std::string_view key) {
  const BundleEntry& found = entry(key);
  if (found.type != kString || !found.dims.empty()) damaged(key, "is no text");
  // Its length, a check sum of the length, and the text.
  ProtobufCursor cursor(bytes(found, key), where_);
  const std::uint64_t length = cursor.take_varint();
  const std::string_view sum = cursor.take(4);
  const std::string_view text = cursor.take(length);
  if (!cursor.rest().empty()) damaged(key, "has another size than its text");
  std::string counted;
  for (unsigned i = 0; i < (length > 0xFFFFFFFFU ? 8U : 4U); ++i) {
    counted += static_cast<char>(length >> (8 * i));
  }
  Crc32c crc;
  if (crc.add(counted).masked() != ProtobufCursor::fixed32(sum) ||
      crc.add(sum).add(text).masked() != found.crc) {
    damaged(key, "has a wrong check sum");
  }
  return text;
}

std::vector<std::shared_ptr<FileBuffer>> TensorBundle::buffers() const {
  std::vector<std::shared_ptr<FileBuffer>> buffers;
  for (const auto& [number, buffer] : shards_) buffers.push_back(buffer);
  return buffers;
}

std::string_view TensorBundle::bytes(const BundleEntry& entry, std::string_view key) {
  if (entry.shard >= index_.shards) damaged(key, "is in a file that the header does not count");
  const std::string_view file = shard(entry.shard).text();
  if (entry.offset > file.size() || entry.size > file.size() - entry.offset) {
    damaged(key, "lies outside of the data, which may be truncated");
  }
  return file.substr(entry.offset, entry.size);
}

FileBuffer& TensorBundle::shard(std::uint64_t number) {
  const auto found = shards_.find(number);
  if (found != shards_.end()) return *found->second;
  const InputFile file(
      fmt::format("{}.data-{:05}-of-{:05}", prefix_.string(), number, index_.shards));
  const auto all = static_cast<double>(index_.shards);
  const auto before = static_cast<double>(shards_.size());
  const auto report = [&](double share) { progress_((before + share) / all); };
  return *shards_.emplace(number, file.read_part(0, file.size(), report).buffer).first->second;
}

void TensorBundle::damaged(std::string_view key, const char* how) const {
  throw Error(ErrorCode::kInvalidFile, fmt::format("the variable '{}' {}", key, how), where_);
}

}  // namespace kerf::formats
