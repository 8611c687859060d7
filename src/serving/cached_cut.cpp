#include "serving/cached_cut.h"

#include <cstring>
#include <string>

#include "serving/aligned_memory.h"

namespace kerf::serving {
namespace {

// Bytes that one row takes of each tensor. `row` is a plan for one.
std::vector<std::size_t> row_bytes(const std::vector<TensorInfo>& row) {
  std::vector<std::size_t> bytes;
  for (const TensorInfo& tensor : row) {
    bytes.push_back(static_cast<std::size_t>(tensor.shape.element_count()) *
                    dtype_size(tensor.dtype));
  }
  return bytes;
}

// Tensors of so many rows, one behind the other.
std::vector<std::byte*> lay_out(AlignedMemory& memory, const std::vector<std::size_t>& row,
                                std::size_t rows) {
  std::size_t all = 0;
  for (const std::size_t bytes : row) all += AlignedMemory::aligned(bytes * rows);
  std::byte* next = memory.reserve(all);
  std::vector<std::byte*> tensors;
  for (const std::size_t bytes : row) {
    tensors.push_back(next);
    next += AlignedMemory::aligned(bytes * rows);
  }
  return tensors;
}

std::size_t sum(const std::vector<std::size_t>& parts) {
  std::size_t all = 0;
  for (const std::size_t part : parts) all += part;
  return all;
}

}  // namespace

// What a thread needs for it, reused.
struct CachedCut::Memory {
  AlignedMemory features_memory;
  AlignedMemory missing_feeds_memory;
  AlignedMemory missing_features_memory;
  AlignedMemory tail_memory;
  std::vector<std::size_t> feature_bytes;  // of a row of each
  std::vector<std::byte*> features;
  std::vector<std::size_t> missing;  // rows
  std::vector<std::string> keys;     // of those
  std::string key;
  std::vector<std::byte> found;
};

void CachedCut::find_features(std::int64_t rows, std::span<const void* const> feeds, Memory& memory,
                              Workspace& workspace, const Threads* threads) const {
  const Plan single = head_->plan(0);
  const std::vector<std::size_t> feed_bytes = row_bytes(single.feeds());
  memory.feature_bytes = row_bytes(single.fetches());
  const std::vector<std::size_t>& feature_bytes = memory.feature_bytes;
  // Room for what the tail's bucket needs beyond the rows.
  const auto bucket_rows = static_cast<std::size_t>(kBucketRows[Batch::bucket_of(rows)]);
  memory.features = lay_out(memory.features_memory, feature_bytes, bucket_rows);
  memory.found.resize(sum(feature_bytes));
  memory.missing.clear();
  memory.keys.clear();
  const auto put_row = [&](std::size_t row, const std::byte* from) {
    for (std::size_t i = 0; i < feature_bytes.size(); ++i) {
      std::memcpy(memory.features[i] + row * feature_bytes[i], from, feature_bytes[i]);
      from += feature_bytes[i];
    }
  };
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
    memory.key.clear();
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      memory.key.append(static_cast<const char*>(feeds[i]) + row * feed_bytes[i], feed_bytes[i]);
    }
    if (cache_.find(memory.key, memory.found)) {
      put_row(row, memory.found.data());
    } else {
      memory.missing.push_back(row);
      memory.keys.push_back(memory.key);
    }
  }
  const std::size_t missing = memory.missing.size();
  statistics_.count_cache(static_cast<std::uint64_t>(rows) - missing, missing);
  if (missing == 0) return;

  const std::size_t bucket = Batch::bucket_of(static_cast<std::int64_t>(missing));
  const auto head_rows = static_cast<std::size_t>(kBucketRows[bucket]);
  const auto head_feeds = lay_out(memory.missing_feeds_memory, feed_bytes, head_rows);
  const auto head_features = lay_out(memory.missing_features_memory, feature_bytes, head_rows);
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    for (std::size_t k = 0; k < head_rows; ++k) {
      const std::size_t row = memory.missing[k < missing ? k : 0];
      std::memcpy(head_feeds[i] + k * feed_bytes[i],
                  static_cast<const std::byte*>(feeds[i]) + row * feed_bytes[i], feed_bytes[i]);
    }
  }
  const std::vector<const void*> feed_pointers(head_feeds.begin(), head_feeds.end());
  const std::vector<void*> feature_pointers(head_features.begin(), head_features.end());
  head_->plan(bucket).run(feed_pointers, feature_pointers, workspace, threads);
  for (std::size_t k = 0; k < missing; ++k) {
    std::byte* to = memory.found.data();
    for (std::size_t i = 0; i < feature_bytes.size(); ++i) {
      std::memcpy(to, head_features[i] + k * feature_bytes[i], feature_bytes[i]);
      to += feature_bytes[i];
    }
    put_row(memory.missing[k], memory.found.data());
    cache_.put(memory.keys[k], memory.found);
  }
}

void CachedCut::run(std::int64_t rows, std::span<const void* const> feeds,
                    std::span<void* const> fetches, Workspace& workspace,
                    const Threads* threads) const {
  thread_local Memory memory;
  find_features(rows, feeds, memory, workspace, threads);
  const auto count = static_cast<std::size_t>(rows);
  if (tail_ == nullptr) {
    for (std::size_t i = 0; i < fetches.size(); ++i) {
      std::memcpy(fetches[i], memory.features[i], memory.feature_bytes[i] * count);
    }
    return;
  }
  const std::size_t bucket = Batch::bucket_of(rows);
  const auto bucket_rows = static_cast<std::size_t>(kBucketRows[bucket]);
  for (std::size_t i = 0; i < memory.features.size(); ++i) {
    for (std::size_t row = count; row < bucket_rows; ++row) {
      std::memcpy(memory.features[i] + row * memory.feature_bytes[i], memory.features[i],
                  memory.feature_bytes[i]);
    }
  }
  const Plan plan = tail_->plan(bucket);
  const std::vector<std::size_t> fetch_bytes = row_bytes(tail_->plan(0).fetches());
  const auto results = lay_out(memory.tail_memory, fetch_bytes, bucket_rows);
  const std::vector<const void*> feature_pointers(memory.features.begin(), memory.features.end());
  const std::vector<void*> result_pointers(results.begin(), results.end());
  plan.run(feature_pointers, result_pointers, workspace, threads);
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    std::memcpy(fetches[i], results[i], fetch_bytes[i] * count);
  }
}

}  // namespace kerf::serving
