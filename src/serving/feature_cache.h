#pragma once

#include <cstddef>
#include <list>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace kerf::serving {

// What a cut gave for rows of its feeds, by the bytes of the row, within a bound of memory: those
// used longest ago go first. A row is found only if it is the same, byte by byte; a hash alone
// never decides. Any thread.
class FeatureCache {
 public:
  explicit FeatureCache(std::size_t most_bytes) : most_bytes_(most_bytes) {}
  FeatureCache(const FeatureCache&) = delete;
  FeatureCache& operator=(const FeatureCache&) = delete;

  // Copies what is kept for `row` to `features`, which is as large as what was put; false if there
  // is nothing.
  bool find(std::string_view row, std::span<std::byte> features);
  // Keeps it, if it is not larger than all memory and there is enough of it.
  void put(std::string_view row, std::span<const std::byte> features) noexcept;

  // Bytes that all takes now, with what it takes to keep it.
  std::size_t bytes() const;

 private:
  struct Entry {
    std::string row;
    std::string features;
  };
  static std::size_t size_of(const Entry& entry) noexcept;

  const std::size_t most_bytes_;
  mutable std::mutex mutex_;
  std::size_t bytes_ = 0;
  std::list<Entry> entries_;                                                // those used last first
  std::unordered_map<std::string_view, std::list<Entry>::iterator> index_;  // keys lie in entries_
};

}  // namespace kerf::serving
