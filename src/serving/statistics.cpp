#include "serving/statistics.h"

#include <algorithm>
#include <bit>

namespace kerf::serving {
namespace {

std::uint64_t nanoseconds(std::chrono::nanoseconds time) noexcept {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
}

template <typename From, typename To>
void add_histogram(const From& from, To& to) noexcept {
  for (std::size_t i = 0; i < to.buckets.size(); ++i) {
    to.buckets[i] += from.buckets[i].load(std::memory_order_relaxed);
  }
  to.sum += from.sum.load(std::memory_order_relaxed);
}

}  // namespace

Outcome outcome_of(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return Outcome::kInvalidArgument;
    case ErrorCode::kNotFound:
      return Outcome::kNotFound;
    case ErrorCode::kInvalidFile:
      return Outcome::kInvalidFile;
    case ErrorCode::kUnsupported:
      return Outcome::kUnsupported;
    case ErrorCode::kResourceExhausted:
      return Outcome::kResourceExhausted;
    case ErrorCode::kUnavailable:
      return Outcome::kUnavailable;
    case ErrorCode::kDeadlineExceeded:
      return Outcome::kDeadlineExceeded;
    case ErrorCode::kInternal:
      break;
  }
  return Outcome::kInternal;
}

std::string_view outcome_name(Outcome outcome) noexcept {
  static constexpr std::array<std::string_view, kOutcomes> kNames{
      "OK",          "INVALID_ARGUMENT",   "NOT_FOUND",   "INVALID_FILE",
      "UNSUPPORTED", "RESOURCE_EXHAUSTED", "UNAVAILABLE", "DEADLINE_EXCEEDED",
      "INTERNAL",    "CANCELLED"};
  return kNames[static_cast<std::size_t>(outcome)];
}

std::size_t TimeScale::bucket_of(std::uint64_t nanoseconds) noexcept {
  // 8000 * 2^i is the bound of bucket i, and belongs to it.
  const std::uint64_t steps = nanoseconds == 0 ? 0 : (nanoseconds - 1) / 8000;
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(steps)), kBounds);
}

std::size_t RowScale::bucket_of(std::uint64_t rows) noexcept {
  const std::uint64_t below = rows == 0 ? 0 : rows - 1;
  return std::min<std::size_t>(static_cast<std::size_t>(std::bit_width(below)), kBounds);
}

Statistics::Shard& Statistics::shard() noexcept {
  static std::atomic<std::size_t> next = 0;
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed) % kShards;
  return shards_[mine];
}

void Statistics::count_wait(std::chrono::nanoseconds waited) noexcept {
  shard().queue.count(nanoseconds(waited));
}

void Statistics::count_run(std::chrono::nanoseconds took, std::int64_t rows) noexcept {
  Shard& mine = shard();
  mine.compute.count(nanoseconds(took));
  mine.rows.count(static_cast<std::uint64_t>(rows));
}

void Statistics::count_cache(std::uint64_t hits, std::uint64_t misses) noexcept {
  Shard& mine = shard();
  add(mine.cache_hits, hits);
  add(mine.cache_misses, misses);
}

StatisticsCounts Statistics::read() const noexcept {
  StatisticsCounts counts;
  for (const Shard& one : shards_) {
    for (std::size_t i = 0; i < kOutcomes; ++i) {
      counts.requests[i] += one.requests[i].load(std::memory_order_relaxed);
    }
    add_histogram(one.queue, counts.queue);
    add_histogram(one.compute, counts.compute);
    add_histogram(one.rows, counts.rows);
    counts.cache_hits += one.cache_hits.load(std::memory_order_relaxed);
    counts.cache_misses += one.cache_misses.load(std::memory_order_relaxed);
  }
  return counts;
}

}  // namespace kerf::serving
