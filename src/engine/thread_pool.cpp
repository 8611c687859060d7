#include "engine/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace kerf::engine {
namespace {

// One call of parallel_for, on its caller's stack. Threads draw indices from `next`.
struct Job {
  void (*body)(void* context, std::size_t i);
  void* context;
  std::size_t count;
  std::atomic<std::size_t> next{0};
  std::atomic<unsigned> helpers{0};  // written under the pool's mutex
  bool listed = false;
  std::condition_variable left;  // the last helper left
  Job* after = nullptr;

  void work() noexcept {
    for (std::size_t i = next.fetch_add(1, std::memory_order_relaxed); i < count;
         i = next.fetch_add(1, std::memory_order_relaxed)) {
      body(context, i);
    }
  }
};

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

struct ThreadPool::Impl {
  std::mutex mutex;
  std::condition_variable wake;
  Job* jobs = nullptr;  // those that may have indices left
  std::size_t idle = 0;
  bool stopping = false;
  std::vector<std::thread> threads;

  void unlist(Job& job) noexcept {
    if (!job.listed) return;
    for (Job** link = &jobs; *link != nullptr; link = &(*link)->after) {
      if (*link == &job) {
        *link = job.after;
        break;
      }
    }
    job.listed = false;
  }

  // The job with the fewest helpers, so that concurrent runs share them.
  Job* neediest() const noexcept {
    Job* best = jobs;
    for (Job* job = jobs; job != nullptr; job = job->after) {
      if (job->helpers.load(std::memory_order_relaxed) <
          best->helpers.load(std::memory_order_relaxed)) {
        best = job;
      }
    }
    return best;
  }

  void help() {
    std::unique_lock lock(mutex);
    for (;;) {
      ++idle;
      wake.wait(lock, [this] { return jobs != nullptr || stopping; });
      --idle;
      if (stopping) return;
      Job& job = *neediest();
      job.helpers.fetch_add(1, std::memory_order_relaxed);
      lock.unlock();
      job.work();
      lock.lock();
      unlist(job);
      // Under the lock: once it is released, the job's caller may return.
      if (job.helpers.fetch_sub(1, std::memory_order_release) == 1) job.left.notify_one();
    }
  }
};

ThreadPool::ThreadPool(unsigned threads) : impl_(std::make_unique<Impl>()) {
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  impl_->threads.reserve(threads - 1);
  for (unsigned i = 1; i < threads; ++i) impl_->threads.emplace_back([this] { impl_->help(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->wake.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

unsigned ThreadPool::thread_count() const noexcept {
  return static_cast<unsigned>(impl_->threads.size()) + 1;
}

void ThreadPool::parallel_for(std::size_t count, void (*body)(void* context, std::size_t i),
                              void* context) {
  if (count <= 1 || impl_->threads.empty()) {
    for (std::size_t i = 0; i < count; ++i) body(context, i);
    return;
  }
  Job job{.body = body, .context = context, .count = count};
  std::size_t wanted = 0;
  {
    const std::lock_guard lock(impl_->mutex);
    job.after = impl_->jobs;
    job.listed = true;
    impl_->jobs = &job;
    wanted = std::min(impl_->idle, count - 1);
  }
  for (std::size_t i = 0; i < wanted; ++i) impl_->wake.notify_one();
  job.work();
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->unlist(job);
  }
  // Nobody can join any more. Helpers are usually within microseconds of their end.
  constexpr int kSpins = 256;
  for (int i = 0; i < kSpins && job.helpers.load(std::memory_order_acquire) != 0; ++i) pause();
  std::unique_lock lock(impl_->mutex);
  job.left.wait(lock, [&job] { return job.helpers.load(std::memory_order_relaxed) == 0; });
}

}  // namespace kerf::engine
