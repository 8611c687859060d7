#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kerf/model.h"
#include "serving/aligned_memory.h"
#include "serving/batch.h"
#include "serving/call.h"

namespace kerf::serving {

// Runs calls of one batch as one: a worker's memory for it. One thread.
class BatchRun {
 public:
  // Puts the calls' rows together, computes, and takes the results apart. False if that is not
  // possible for all of them, because of the data of one or for want of memory: they are as they
  // were then, and each may be run alone.
  bool run(Batch& batch, std::span<Call* const> calls, const Scheduler& scheduler) noexcept;

 private:
  void gather(std::span<Call* const> calls, std::int64_t rows);
  void scatter(std::span<Call* const> calls, std::int64_t rows) noexcept;

  Plan plan_;
  AlignedMemory memory_;
  std::vector<const void*> feed_pointers_;
  std::vector<void*> fetch_pointers_;
};

}  // namespace kerf::serving
