#pragma once

#include <cstdint>
#include <memory>

#include "kerf/model.h"
#include "serving/batch.h"
#include "serving/cached_cut.h"
#include "serving/queue.h"
#include "serving/statistics.h"

namespace kerf::serving {

// Where a plan runs.
enum class Lane : std::uint8_t {
  kCaller,  // on the thread that has the call: cheaper than handing it to another one
  kWorker,  // on a worker
  kSplit,   // on a worker, with helpers where cores are free
};
Lane lane_of(const Plan& plan) noexcept;

// What calls of one form run: the same feeds, in the same shapes, and the same fetches. Made by
// ServedModel, immutable, shared by all such calls.
struct Target {
  Plan plan;
  Lane lane = Lane::kWorker;
  std::int64_t rows = 1;         // of the first feed; where they may be batched, of each
  std::shared_ptr<Batch> batch;  // the calls that may run together with them; null: none
  std::shared_ptr<const CachedCut>
      cached;                        // how it is computed instead of by the plan, if not null
  Queue* queue = nullptr;            // where its calls wait; the batch's or the model's
  Statistics* statistics = nullptr;  // of its cut; the model's
};

}  // namespace kerf::serving
