#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kerf/error.h"

namespace kerf::serving {

// How a request ended.
enum class Outcome : std::uint8_t {
  kOk,
  kInvalidArgument,
  kNotFound,
  kInvalidFile,
  kUnsupported,
  kResourceExhausted,
  kUnavailable,
  kDeadlineExceeded,
  kInternal,
  kCancelled,
};
inline constexpr std::size_t kOutcomes = 10;
Outcome outcome_of(ErrorCode code) noexcept;
// "OK", "INVALID_ARGUMENT", ...
std::string_view outcome_name(Outcome outcome) noexcept;

// The state of a Histogram at a moment. Bucket i counts values up to bounds[i], the last one all
// others.
template <std::size_t kBounds>
struct HistogramCounts {
  std::array<std::uint64_t, kBounds + 1> buckets{};
  std::uint64_t sum = 0;  // in the histogram's unit
  std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const std::uint64_t bucket : buckets) all += bucket;
    return all;
  }
};

// Times, in buckets of powers of two from 8 us to 17 s. The unit is a nanosecond.
struct TimeScale {
  static constexpr std::size_t kBounds = 22;
  static constexpr double upper(std::size_t bucket) noexcept {  // in seconds
    return 8e-6 * static_cast<double>(std::uint64_t{1} << bucket);
  }
  static std::size_t bucket_of(std::uint64_t nanoseconds) noexcept;
};
// Rows of a run: 1, 2, 4, ... 512.
struct RowScale {
  static constexpr std::size_t kBounds = 10;
  static constexpr double upper(std::size_t bucket) noexcept {
    return static_cast<double>(std::uint64_t{1} << bucket);
  }
  static std::size_t bucket_of(std::uint64_t rows) noexcept;
};

// The state of a Statistics at a moment.
struct StatisticsCounts {
  std::array<std::uint64_t, kOutcomes> requests{};
  HistogramCounts<TimeScale::kBounds> queue;    // of requests that waited for a worker
  HistogramCounts<TimeScale::kBounds> compute;  // of runs, each of one request or of a batch
  HistogramCounts<RowScale::kBounds> rows;      // likewise
  std::uint64_t cache_hits = 0;                 // rows found in the feature cache
  std::uint64_t cache_misses = 0;

  std::uint64_t runs() const noexcept { return compute.count(); }
  std::uint64_t errors() const noexcept {
    std::uint64_t all = 0;
    for (std::size_t i = 1; i < kOutcomes; ++i) all += requests[i];
    return all;
  }
};

// What happened to the requests for one cut of one model version. Counting costs some relaxed
// additions to memory that few threads share. Any thread.
class Statistics {
 public:
  void count_request(Outcome outcome) noexcept { add(shard().requests[index(outcome)], 1); }
  void count_wait(std::chrono::nanoseconds waited) noexcept;
  void count_run(std::chrono::nanoseconds took, std::int64_t rows) noexcept;
  void count_cache(std::uint64_t hits, std::uint64_t misses) noexcept;

  StatisticsCounts read() const noexcept;

 private:
  static constexpr std::size_t kShards = 8;
  using Counter = std::atomic<std::uint64_t>;
  template <typename Scale>
  struct Histogram {
    std::array<Counter, Scale::kBounds + 1> buckets{};
    Counter sum{0};
    void count(std::uint64_t value) noexcept {
      add(buckets[Scale::bucket_of(value)], 1);
      add(sum, value);
    }
  };
  // Each thread counts in one of them, so that cores do not fight over a cache line.
  struct alignas(64) Shard {
    std::array<Counter, kOutcomes> requests{};
    Histogram<TimeScale> queue;
    Histogram<TimeScale> compute;
    Histogram<RowScale> rows;
    Counter cache_hits{0};
    Counter cache_misses{0};
  };

  static std::size_t index(Outcome outcome) noexcept { return static_cast<std::size_t>(outcome); }
  static void add(Counter& counter, std::uint64_t value) noexcept {
    counter.fetch_add(value, std::memory_order_relaxed);
  }
  Shard& shard() noexcept;

  std::array<Shard, kShards> shards_;
};

}  // namespace kerf::serving
