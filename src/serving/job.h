#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace kerf::serving {

using Clock = std::chrono::steady_clock;

// Jobs of a higher priority are taken before all of a lower one, of whichever model.
enum class Priority : std::uint8_t { kHigh, kNormal, kLow };
inline constexpr std::size_t kPriorities = 3;

// Something a worker does. Who submits it owns it, and keeps it until run() or drop() was called;
// exactly one of them is, once. Nothing is allocated for it.
class Job {
 public:
  enum class Reason : std::uint8_t { kDeadline, kCancelled, kStopping };

  virtual void run() noexcept = 0;
  // It will not be run.
  virtual void drop(Reason reason) noexcept = 0;

  // Set before it is submitted. After the deadline it is not begun any more.
  Clock::time_point deadline = Clock::time_point::max();
  Priority priority = Priority::kNormal;

  // Nobody waits for it any more: it is not begun if it has not been. Any thread, at any time.
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }
  // When it was submitted.
  Clock::time_point queued_at() const noexcept { return queued_at_; }

 protected:
  Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;
  virtual ~Job() = default;
  // As before it was ever submitted.
  void reset_job() noexcept {
    deadline = Clock::time_point::max();
    priority = Priority::kNormal;
    cancelled_.store(false, std::memory_order_relaxed);
  }

 private:
  friend class Scheduler;
  template <typename Item>
  friend class Fifo;

  std::atomic<bool> cancelled_ = false;
  Clock::time_point queued_at_;
  std::size_t bytes_ = 0;  // counted by the scheduler while it waits
  Job* next_ = nullptr;    // in a Fifo
};

// Items in the order they came, linked by their `next_`. Owns nothing.
template <typename Item>
class Fifo {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  Item* front() const noexcept { return first_; }
  static Item* after(const Item& item) noexcept { return item.next_; }
  void push(Item& item) noexcept {
    item.next_ = nullptr;
    (first_ == nullptr ? first_ : last_->next_) = &item;
    last_ = &item;
    ++size_;
  }
  Item& pop() noexcept {
    Item& item = *first_;
    first_ = item.next_;
    --size_;
    return item;
  }

 private:
  Item* first_ = nullptr;
  Item* last_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kerf::serving
