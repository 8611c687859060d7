#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "kerf/model.h"
#include "serving/model_settings.h"
#include "serving/queue.h"

namespace kerf::serving {

// The sizes in which calls are batched, so that few plans serve all. Rows that are missing to one
// of them are computed for nothing: less than half of what is asked for.
inline constexpr std::array<std::int64_t, 17> kBucketRows{1,  2,  3,  4,  6,   8,   12,  16, 24,
                                                          32, 48, 64, 96, 128, 192, 256, 512};

// Calls of one cut, with samples of one shape, that may run together: no row of any result depends
// on another row of the feeds. Any thread.
class Batch {
 public:
  // `sample_shapes`: of the feeds, whatever their first dimension says.
  Batch(Cut cut, std::vector<Shape> sample_shapes, const Batching& settings, ModelQueues& model)
      : cut_(std::move(cut)),
        shapes_(std::move(sample_shapes)),
        settings_(settings),
        max_rows_(std::clamp(settings.max_rows, std::int64_t{1}, kBucketRows.back())),
        queue_(model, this) {}

  Queue& queue() noexcept { return queue_; }
  // The most rows that are run together; less than the setting where so many would take long.
  std::int64_t max_rows() const noexcept { return max_rows_.load(std::memory_order_relaxed); }
  std::chrono::microseconds delay() const noexcept { return settings_.delay; }

  // The smallest bucket that holds so many rows; the last, if none does.
  static std::size_t bucket_of(std::int64_t rows) noexcept;
  static bool is_bucket(std::int64_t rows) noexcept { return kBucketRows[bucket_of(rows)] == rows; }
  // The plan for kBucketRows[bucket] rows, made now if need be. Throws as Cut::plan().
  Plan plan(std::size_t bucket);

 private:
  Cut cut_;
  std::vector<Shape> shapes_;
  Batching settings_;
  std::atomic<std::int64_t> max_rows_;
  Queue queue_;
  std::mutex mutex_;  // guards the plans
  std::array<std::optional<Plan>, kBucketRows.size()> plans_;
};

}  // namespace kerf::serving
