#pragma once

#include <cstddef>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace kerf::serving {

// The values used last, by key. A hit is one hash lookup and allocates nothing. Not synchronised:
// the owner locks.
template <typename Value>
class LruCache {
 public:
  explicit LruCache(std::size_t capacity) : capacity_(capacity) {}

  std::optional<Value> find(std::string_view key) {
    const auto it = index_.find(key);
    if (it == index_.end()) return std::nullopt;
    if (it->second != entries_.begin()) {
      entries_.splice(entries_.begin(), entries_, it->second);
    }
    return entries_.front().second;
  }

  // Keeps the value that was there first: whoever holds it already shares it.
  void insert(std::string_view key, Value value) {
    if (index_.contains(key)) return;
    entries_.emplace_front(std::string(key), std::move(value));
    index_.emplace(entries_.front().first, entries_.begin());
    if (entries_.size() > capacity_) {
      index_.erase(entries_.back().first);
      entries_.pop_back();
    }
  }

  // Those used last first.
  std::vector<std::string> keys() const {
    std::vector<std::string> keys;
    for (const auto& entry : entries_) keys.push_back(entry.first);
    return keys;
  }

  std::size_t size() const noexcept { return entries_.size(); }

 private:
  using Entries = std::list<std::pair<std::string, Value>>;
  std::size_t capacity_;
  Entries entries_;                                                         // newest first
  std::unordered_map<std::string_view, typename Entries::iterator> index_;  // keys lie in entries_
};

}  // namespace kerf::serving
