#include <exception>

#include "program/program.h"

namespace kerf::program {

struct ConstantCache::Entry {
  std::once_flag once;
  Constant value;
  std::vector<Constant> keep_alive;
};

std::size_t ConstantCache::KeyHash::operator()(const Key& key) const noexcept {
  std::size_t hash = std::hash<std::string>{}(key.derivation);
  for (const void* source : key.sources) {
    hash = hash * 1099511628211U + std::hash<const void*>{}(source);
  }
  return hash;
}

Constant ConstantCache::get(const Key& key, std::span<const Constant> keep_alive,
                            const std::function<Tensor()>& make) {
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<Entry>& slot = entries_[key];
    if (!slot) slot = std::make_shared<Entry>();
    entry = slot;
  }
  // A make() that throws leaves the flag unset: the next caller tries again.
  std::call_once(entry->once, [&] {
    Constant value = make();
    const std::lock_guard lock(mutex_);
    entry->value = std::move(value);
    entry->keep_alive.assign(keep_alive.begin(), keep_alive.end());
  });
  return entry->value;
}

std::size_t ConstantCache::byte_size() const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& [key, entry] : entries_) bytes += entry->value.held_bytes();
  return bytes;
}

}  // namespace kerf::program
