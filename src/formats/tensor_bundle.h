#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/file_buffer.h"
#include "kerf/tensor.h"

namespace kerf::formats {

// Where a tensor of a bundle stands.
struct BundleEntry {
  std::uint64_t type = 0;  // TensorFlow's DataType
  std::vector<std::int64_t> dims;
  std::uint64_t shard = 0;
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  std::uint32_t crc = 0;
  bool sliced = false;  // partitioned over several entries
};

struct BundleIndex {
  std::uint64_t shards = 0;
  std::map<std::string, BundleEntry, std::less<>> entries;  // by key
};

// Reads `variables.index`. Throws Error(kInvalidFile | kUnsupported).
BundleIndex read_bundle_index(std::string_view file, const std::string& where);

// The variables of a TensorFlow checkpoint: `variables.index` and the files beside it that hold
// their bytes. A file is read as a whole when something in it is first asked for. One thread at a
// time; tensors may outlive it.
class TensorBundle {
 public:
  // `prefix` is the path before ".index". `progress` is called with the share of the data read.
  explicit TensorBundle(
      std::filesystem::path prefix, std::function<void(double)> progress = [](double) {});

  const std::string& where() const noexcept { return where_; }
  bool has(std::string_view key) const { return index_.entries.contains(key); }
  // Throw Error(kInvalidFile) where the tensor is missing or damaged, Error(kUnsupported) where it
  // is of an unusual kind. text() is for a string scalar; it lives as long as the bundle.
  Tensor tensor(std::string_view key);
  std::string_view text(std::string_view key);

  // What was read so far of the files of the data.
  std::vector<std::shared_ptr<FileBuffer>> buffers() const;

 private:
  const BundleEntry& entry(std::string_view key) const;
  std::string_view bytes(const BundleEntry& entry, std::string_view key);
  FileBuffer& shard(std::uint64_t number);
  [[noreturn]] void damaged(std::string_view key, const char* how) const;

  std::filesystem::path prefix_;
  std::string where_;
  std::function<void(double)> progress_;
  BundleIndex index_;
  std::map<std::uint64_t, std::shared_ptr<FileBuffer>> shards_;
};

}  // namespace kerf::formats
