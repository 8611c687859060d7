#pragma once

#include <algorithm>
#include <cstddef>
#include <thread>

#include "engine/thread_pool.h"

// How kernels spread work over a pool. A kernel splits over independent results only, never over
// the order of a sum, so that a run's bits do not depend on the threads.
namespace kerf::engine {

// A part smaller than this is not worth waking a thread for.
inline constexpr double kMinimumPartSeconds = 8e-6;

// Cores of this machine, at least 1: how finely work is cut at most. Results do not depend on it.
inline std::size_t core_count() noexcept {
  static const std::size_t count = std::max(1U, std::thread::hardware_concurrency());
  return count;
}

// Calls body(i) for each i in [0, count); on this thread alone if `pool` is null.
template <typename Body>
void parallel_for(ThreadPool* pool, std::size_t count, const Body& body) {
  if (pool == nullptr || count <= 1) {
    for (std::size_t i = 0; i < count; ++i) body(i);
    return;
  }
  pool->parallel_for(
      count, [](void* context, std::size_t i) { (*static_cast<const Body*>(context))(i); },
      const_cast<Body*>(&body));
}

// Into how many parts `seconds` of work on `items` divides: one if it is little, else a few for
// each thread, so that a thread that comes late does not hold up the rest.
inline std::size_t parts_of(const ThreadPool* pool, std::size_t items, double seconds) noexcept {
  if (pool == nullptr || seconds < 2 * kMinimumPartSeconds) return 1;
  const auto affordable = static_cast<std::size_t>(std::min(seconds / kMinimumPartSeconds, 1e6));
  return std::max<std::size_t>(std::min({affordable, items, std::size_t{pool->thread_count()} * 4}),
                               1);
}

// Calls body(begin, end) over [0, items) in contiguous parts of about equal size that start at
// multiples of `grain`. `seconds`: what all of it takes on one core.
template <typename Body>
void parallel_ranges(ThreadPool* pool, std::size_t items, double seconds, const Body& body,
                     std::size_t grain = 1) {
  if (items == 0) return;
  const std::size_t grains = (items + grain - 1) / grain;
  const std::size_t parts = parts_of(pool, grains, seconds);
  if (parts == 1) {
    body(std::size_t{0}, items);
    return;
  }
  parallel_for(pool, parts, [&](std::size_t part) {
    const std::size_t begin = grains * part / parts * grain;
    const std::size_t end = std::min(grains * (part + 1) / parts * grain, items);
    body(begin, end);
  });
}

}  // namespace kerf::engine
