#include "serving/feature_cache.h"

#include <cstring>
#include <exception>
#include <utility>

namespace kerf::serving {

std::size_t FeatureCache::size_of(const Entry& entry) noexcept {
  // Beside the bytes: the list's node, the map's, and what allocation rounds up.
  constexpr std::size_t kOverhead = 192;
  return entry.row.size() + entry.features.size() + kOverhead;
}

bool FeatureCache::find(std::string_view row, std::span<std::byte> features) {
  const std::lock_guard lock(mutex_);
  const auto it = index_.find(row);
  if (it == index_.end()) return false;
  entries_.splice(entries_.begin(), entries_, it->second);
  const std::string& kept = entries_.front().features;
  if (kept.size() != features.size()) return false;
  std::memcpy(features.data(), kept.data(), kept.size());
  return true;
}

void FeatureCache::put(std::string_view row, std::span<const std::byte> features) noexcept {
  try {
    std::list<Entry> one;
    one.push_back(
        {.row = std::string(row),
         .features = std::string(reinterpret_cast<const char*>(features.data()), features.size())});
    const std::size_t size = size_of(one.front());
    if (size > most_bytes_) return;
    const std::lock_guard lock(mutex_);
    if (!index_.emplace(one.front().row, one.begin()).second) return;
    entries_.splice(entries_.begin(), one);
    bytes_ += size;
    while (bytes_ > most_bytes_) {
      bytes_ -= size_of(entries_.back());
      index_.erase(entries_.back().row);
      entries_.pop_back();
    }
  } catch (const std::exception&) {
    return;  // no memory: it is not kept
  }
}

std::size_t FeatureCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace kerf::serving
