#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace kerf::serving {

// An immutable value that may be exchanged for another while many threads read it. Any thread may
// call anything.
template <typename Value>
class Published {
 public:
  Published() : Published(Value()) {}
  explicit Published(Value value) : value_(std::make_shared<const Value>(std::move(value))) {}

  std::shared_ptr<const Value> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  // Who reads goes on with what it holds.
  void publish(Value value) {
    auto next = std::make_shared<const Value>(std::move(value));
    const std::lock_guard lock(mutex_);
    value_.swap(next);  // the old one goes, if nobody holds it, without the lock
    generation_.fetch_add(1, std::memory_order_release);
  }

  // What one thread at a time sees, at the cost of reading a number that seldom changes: no lock,
  // and no reference count that threads would fight over.
  class Reader {
   public:
    explicit Reader(const Published& published) : published_(published) {}

    // The value of now. The reference is good until the next call or rest().
    const Value& get() {
      if (stale()) refresh();
      return *value_;
    }
    // There is something newer than what get() last gave.
    bool stale() const noexcept {
      return generation_ != published_.generation_.load(std::memory_order_acquire);
    }
    // Holds nothing until the next call, so that old values can go.
    void rest() noexcept {
      value_.reset();
      generation_ = 0;
    }

   private:
    void refresh() {
      std::shared_ptr<const Value> old;  // goes without the lock
      const std::lock_guard lock(published_.mutex_);
      old = std::exchange(value_, published_.value_);
      generation_ = published_.generation_.load(std::memory_order_relaxed);
    }

    const Published& published_;
    std::uint64_t generation_ = 0;  // no value has this one
    std::shared_ptr<const Value> value_;
  };

 private:
  mutable std::mutex mutex_;  // guards the two below, for moments
  std::shared_ptr<const Value> value_;
  std::atomic<std::uint64_t> generation_ = 1;  // grows with each value; written under the lock
};

}  // namespace kerf::serving
