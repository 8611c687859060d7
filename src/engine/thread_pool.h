#pragma once

#include <cstddef>
#include <memory>

namespace kerf::engine {

// Helpers for runs that are large enough to be split. One pool serves any number of concurrent
// runs: parallel_for may be called from any thread outside the pool, uses the helpers that are free
// at that moment, and always makes progress on the calling thread alone. Idle helpers sleep.
class ThreadPool {
 public:
  // `threads` counts the calling thread: a pool of 1 has no helpers. 0 = one per core.
  explicit ThreadPool(unsigned threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  unsigned thread_count() const noexcept;

  // Calls body(context, i) once for each i in [0, count), on this thread and free helpers; returns
  // when all are done. `body` must not throw.
  void parallel_for(std::size_t count, void (*body)(void* context, std::size_t i), void* context);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kerf::engine
