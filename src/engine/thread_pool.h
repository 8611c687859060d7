#pragma once

#include <cstddef>
#include <memory>

namespace kerf::engine {

// Helpers for runs that are large enough to be split. One pool serves any number of concurrent
// runs: parallel_for may be called from any thread, uses helpers that are free, and always makes
// progress on the calling thread alone. There are never more threads at work than the pool counts:
// a run alone gets all of them, two runs share them, and where there are as many runs as threads
// each keeps to its own, from its next piece of work on. Helpers look out for work while a run is
// under way, and sleep soon after.
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
  void parallel_for(std::size_t count, void (*body)(void* context, std::size_t i),
                    void* context) noexcept;

  // Counts its thread as one at work, from where it is made to where it goes. None for no pool.
  class Run {
   public:
    explicit Run(ThreadPool* pool) noexcept;
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

   private:
    ThreadPool* pool_;
  };

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kerf::engine
