#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "kerf/model.h"

namespace kerf::serving {

// Something a worker does. The submitter owns it and keeps it until one of the two was called.
class Task {
 public:
  virtual void run() noexcept = 0;
  // The workers end before this task's turn has come. Called by the thread that ends them.
  virtual void drop() noexcept = 0;

 protected:
  ~Task() = default;
};

// Threads for calls that would keep an I/O thread from its other connections, with a bounded queue
// before them. Any thread may submit.
class Workers {
 public:
  // 0 workers = one per core.
  explicit Workers(unsigned count, std::size_t queue_length);
  ~Workers() { stop(); }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  unsigned count() const noexcept { return static_cast<unsigned>(threads_.size()); }
  // False if the queue is full: the server is overloaded, and the caller says so.
  bool submit(Task& task);
  // Lets running tasks end, drops those that wait, takes no more. Called by one thread.
  void stop();

 private:
  void work();

  std::size_t queue_length_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task*> queue_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

// Where a plan runs.
enum class Lane {
  kCaller,  // cheaper than handing it to another thread
  kWorker,  // on one worker
  kSplit,   // on one worker, with helpers where some are free
};
Lane lane_of(const Plan& plan) noexcept;

}  // namespace kerf::serving
