#include "serving/workers.h"

#include <algorithm>

namespace kerf::serving {

Workers::Workers(unsigned count, std::size_t queue_length) : queue_length_(queue_length) {
  if (count == 0) count = std::max(1U, std::thread::hardware_concurrency());
  threads_.reserve(count);
  for (unsigned i = 0; i < count; ++i) threads_.emplace_back([this] { work(); });
}

void Workers::stop() {
  std::deque<Task*> waiting;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    waiting.swap(queue_);
  }
  wake_.notify_all();
  for (Task* task : waiting) task->drop();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

bool Workers::submit(Task& task) {
  {
    const std::lock_guard lock(mutex_);
    if (ending_ || queue_.size() >= queue_length_) return false;
    queue_.push_back(&task);
  }
  wake_.notify_one();
  return true;
}

void Workers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Task* task = queue_.front();
    queue_.pop_front();
    lock.unlock();
    task->run();
    lock.lock();
  }
}

Lane lane_of(const Plan& plan) noexcept {
  // A hop to a worker and back costs some 20 us of CPU, and the I/O thread's other connections wait
  // no longer than this.
  constexpr double kHopSeconds = 100e-6;
  // Below this, waking helpers costs more than they save.
  constexpr double kSplitSeconds = 1e-3;
  const double seconds = plan.estimated_seconds();
  if (seconds < kHopSeconds) return Lane::kCaller;
  return seconds < kSplitSeconds ? Lane::kWorker : Lane::kSplit;
}

}  // namespace kerf::serving
