#include "engine/thread_pool.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace kerf::engine {
namespace {

constexpr std::size_t kCacheLine = 64;
constexpr std::size_t kSlots = 64;  // calls of parallel_for at once; others get no help
constexpr unsigned kWakes = 4;      // helpers that a call wakes; each of them wakes two more

// Pauses, of 10 to 40 ns each: how long a helper looks out for work while a run is under way (much
// longer than it takes between two pieces of it), and after the last one; and how long a caller
// waits for its helpers before it sleeps.
constexpr int kLookouts = 4000;
constexpr int kLingers = 500;
constexpr int kWaits = 4000;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Room for one call of parallel_for. It stays where it is, so that a helper may look at it at any
// time.
struct alignas(kCacheLine) Slot {
  // kTaken while a caller has it, kOpen while helpers may join, and how many have. A slot that is
  // open is filled in; one that is 0 is free.
  static constexpr std::uint32_t kTaken = 1U << 31;
  static constexpr std::uint32_t kOpen = 1U << 30;
  static constexpr std::uint32_t kHelpers = kOpen - 1;
  std::atomic<std::uint32_t> state{0};
  std::atomic<std::size_t> count{0};
  void (*body)(void* context, std::size_t i) = nullptr;
  void* context = nullptr;
  alignas(kCacheLine) std::atomic<std::size_t> next{0};  // index to draw

  bool take() noexcept {
    std::uint32_t expected = 0;
    return state.load(std::memory_order_relaxed) == 0 &&
           state.compare_exchange_strong(expected, kTaken, std::memory_order_acquire);
  }

  // True if the calling helper is one of its helpers now.
  bool join() noexcept {
    std::uint32_t seen = state.load(std::memory_order_acquire);
    while ((seen & kOpen) != 0 &&
           next.load(std::memory_order_relaxed) < count.load(std::memory_order_relaxed)) {
      if (state.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel)) return true;
    }
    return false;
  }

  void leave() noexcept {
    const std::uint32_t before = state.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & kHelpers) == 1 && (before & kOpen) == 0) state.notify_one();
  }

  // Returns when the helpers that joined have left.
  void close() noexcept {
    std::uint32_t seen = state.fetch_and(~kOpen, std::memory_order_acq_rel) & ~kOpen;
    for (int i = 0; i < kWaits && (seen & kHelpers) != 0; ++i) {
      pause();
      seen = state.load(std::memory_order_acquire);
    }
    while ((seen & kHelpers) != 0) {
      state.wait(seen, std::memory_order_acquire);
      seen = state.load(std::memory_order_acquire);
    }
    state.store(0, std::memory_order_release);
  }

  // Draws indices while `go_on()`.
  template <typename GoOn>
  void work(const GoOn& go_on) noexcept {
    const std::size_t end = count.load(std::memory_order_relaxed);
    while (go_on()) {
      const std::size_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= end) return;
      body(context, i);
    }
  }
};

}  // namespace

struct ThreadPool::Impl {
  struct alignas(kCacheLine) Helper {
    std::atomic<int> asleep{0};
    std::thread thread;
  };

  alignas(kCacheLine) std::atomic<unsigned> runs{0};
  alignas(kCacheLine) std::atomic<unsigned> open{0};  // slots
  std::atomic<bool> stopping{false};
  std::array<Slot, kSlots> slots;
  std::vector<Helper> helpers;

  explicit Impl(unsigned threads) : helpers(threads - 1) {}

  // Helpers that may work now: the first ones.
  std::size_t allowed() const noexcept {
    const unsigned callers = std::max(runs.load(std::memory_order_relaxed), 1U);
    return helpers.size() + 1 - std::min<std::size_t>(callers, helpers.size() + 1);
  }

  void wake(std::size_t limit, unsigned most) noexcept {
    for (std::size_t i = 0; i < limit && most != 0; ++i) {
      std::atomic<int>& asleep = helpers[i].asleep;
      if (asleep.load(std::memory_order_seq_cst) == 0 || asleep.exchange(0) == 0) continue;
      asleep.notify_one();
      --most;
    }
  }

  bool help(std::size_t self) noexcept {
    if (open.load(std::memory_order_relaxed) == 0) return false;
    bool helped = false;
    for (Slot& slot : slots) {
      if (self >= allowed()) break;
      if (!slot.join()) continue;
      slot.work([this, self] { return self < allowed(); });
      slot.leave();
      helped = true;
    }
    return helped;
  }

  void live(std::size_t self) noexcept {
    int idle = 0;
    while (!stopping.load(std::memory_order_relaxed)) {
      if (help(self)) {
        idle = 0;
        continue;
      }
      const bool under_way = runs.load(std::memory_order_relaxed) != 0;
      if (self < allowed() && ++idle < (under_way ? kLookouts : kLingers)) {
        pause();
        continue;
      }
      sleep(self);
      idle = 0;
    }
  }

  // A caller opens its slot and then looks who is asleep; a helper says that it is, and then looks
  // for open slots: one of them sees the other.
  void sleep(std::size_t self) noexcept {
    std::atomic<int>& asleep = helpers[self].asleep;
    asleep.store(1, std::memory_order_seq_cst);
    const bool wanted = open.load(std::memory_order_seq_cst) != 0 && self < allowed();
    if (!wanted && !stopping.load(std::memory_order_seq_cst)) {
      asleep.wait(1);
      if (open.load(std::memory_order_relaxed) != 0) wake(allowed(), 2);
    }
    asleep.store(0, std::memory_order_relaxed);
  }

  Slot* take_slot() noexcept {
    for (Slot& slot : slots) {
      if (slot.take()) return &slot;
    }
    return nullptr;
  }
};

ThreadPool::ThreadPool(unsigned threads) {
  if (threads == 0) threads = std::max(1U, std::thread::hardware_concurrency());
  impl_ = std::make_unique<Impl>(threads);
  for (std::size_t i = 0; i < impl_->helpers.size(); ++i) {
    impl_->helpers[i].thread = std::thread([impl = impl_.get(), i] { impl->live(i); });
  }
}

ThreadPool::~ThreadPool() {
  impl_->stopping = true;
  for (Impl::Helper& helper : impl_->helpers) {
    helper.asleep.exchange(0);
    helper.asleep.notify_one();
  }
  for (Impl::Helper& helper : impl_->helpers) helper.thread.join();
}

unsigned ThreadPool::thread_count() const noexcept {
  return static_cast<unsigned>(impl_->helpers.size()) + 1;
}

void ThreadPool::parallel_for(std::size_t count, void (*body)(void* context, std::size_t i),
                              void* context) noexcept {
  const std::size_t help = count < 2 ? 0 : std::min(impl_->allowed(), count - 1);
  Slot* const slot = help == 0 ? nullptr : impl_->take_slot();
  if (slot == nullptr) {
    for (std::size_t i = 0; i < count; ++i) body(context, i);
    return;
  }
  slot->body = body;
  slot->context = context;
  slot->count.store(count, std::memory_order_relaxed);
  slot->next.store(0, std::memory_order_relaxed);
  slot->state.store(Slot::kTaken | Slot::kOpen, std::memory_order_release);
  impl_->open.fetch_add(1, std::memory_order_seq_cst);
  impl_->wake(help, kWakes);
  slot->work([] { return true; });
  impl_->open.fetch_sub(1, std::memory_order_relaxed);
  slot->close();
}

ThreadPool::Run::Run(ThreadPool* pool) noexcept : pool_(pool) {
  if (pool_ != nullptr) pool_->impl_->runs.fetch_add(1, std::memory_order_relaxed);
}

ThreadPool::Run::~Run() {
  if (pool_ != nullptr) pool_->impl_->runs.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace kerf::engine
