#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kerf/model.h"
#include "serving/batch.h"
#include "serving/feature_cache.h"
#include "serving/statistics.h"

namespace kerf::serving {

// A cut computed in two parts: a head, whose results for rows that were met before are known, and
// a tail that goes on from there. Equal to the cut as a whole, as heads and tails of a model are.
// Immutable but for the cache; any thread.
class CachedCut {
 public:
  // `tail` is null where the head's results are what is fetched. No tensor holds strings.
  CachedCut(FeatureCache& cache, std::shared_ptr<Batch> head, std::shared_ptr<Batch> tail,
            Statistics& statistics)
      : cache_(cache), head_(std::move(head)), tail_(std::move(tail)), statistics_(statistics) {}

  // As Plan::run(), for this many rows, at most those of the last bucket; the pointers are those of
  // the whole cut, in its order. Throws as that does, and std::bad_alloc.
  void run(std::int64_t rows, std::span<const void* const> feeds, std::span<void* const> fetches,
           Workspace& workspace, const Threads* threads) const;

 private:
  struct Memory;
  // Puts the features of row after row behind each other, tensor by tensor.
  void find_features(std::int64_t rows, std::span<const void* const> feeds, Memory& memory,
                     Workspace& workspace, const Threads* threads) const;

  FeatureCache& cache_;
  std::shared_ptr<Batch> head_;
  std::shared_ptr<Batch> tail_;
  Statistics& statistics_;
};

}  // namespace kerf::serving
