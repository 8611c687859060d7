#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/model.h"
#include "serving/limits.h"
#include "serving/lru_cache.h"
#include "serving/model_settings.h"
#include "serving/signature.h"
#include "serving/statistics.h"
#include "serving/target.h"

namespace kerf::serving {

// Which tensors a call feeds, in which shapes, and which it fetches, all by address. Refers to
// memory of the caller. Empty `fetches`: the model's outputs.
struct CallSpec {
  std::span<const std::string_view> feeds;
  std::span<const Shape> shapes;  // parallel to feeds
  std::span<const std::string_view> fetches;
};

// A CallSpec with its own memory.
struct OwnedCallSpec {
  std::vector<std::string> feeds;
  std::vector<Shape> shapes;
  std::vector<std::string> fetches;
};

// Writes into `key` the text under which a call's target is kept. Reusing `key` avoids allocation.
void write_target_key(const CallSpec& spec, std::string& key);
// The call that a key was written for.
OwnedCallSpec read_target_key(std::string_view key);

// One version of a model, ready to be called from any number of threads. The model is immutable;
// what changes is the caches of cuts and targets, bounded and locked within, and the queues of
// calls that wait, which the scheduler locks. Held by shared_ptr: a call keeps its model until it
// ends.
class ServedModel {
 public:
  ServedModel(std::string name, std::string version, Model model, const Limits& limits,
              ModelSettings settings = {});

  const std::string& name() const noexcept { return name_; }
  const std::string& version() const noexcept { return version_; }
  const Model& model() const noexcept { return model_; }
  const Limits& limits() const noexcept { return limits_; }
  const ModelSettings& settings() const noexcept { return settings_; }
  // The whole model, then the named cuts.
  const std::vector<Signature>& signatures() const noexcept { return signatures_; }
  // Where this version's calls wait. For the scheduler.
  ModelQueues& queues() const noexcept { return queues_; }

  // What happened to the calls for one cut.
  struct CutStatistics {
    std::string name;  // empty: from the model's inputs to its outputs; "*": any that has no name
    Statistics statistics;
    std::unique_ptr<FeatureCache> cache;  // null: what it gives is not kept
  };
  // The whole model's first, then those of the named cuts in their order, then that of all others.
  std::span<const std::unique_ptr<CutStatistics>> statistics() const noexcept {
    return statistics_;
  }

  // The target made before for a call of this key, or null. Never blocks for long.
  std::shared_ptr<const Target> find_target(std::string_view key) const;

  // The keys of the targets made before, those used last first.
  std::vector<std::string> recent_targets() const;

  // The target of a call, made now if need be: cutting and compiling may take long, and calls for
  // this model's new targets wait for each other, so that one wanted by many is made once.
  // Throws Error: kNotFound or kInvalidArgument for addresses, cuts and shapes that cannot be,
  // kResourceExhausted for tensors beyond the limits. A feed that no fetch needs is refused, unless
  // exactly the model's inputs are fed, as clients do that know nothing of cuts.
  std::shared_ptr<const Target> make_target(const CallSpec& spec) const;

 private:
  Statistics& statistics_of(const CallSpec& spec) const noexcept;
  Cut find_or_make_cut(const CallSpec& spec) const;
  // What calls of this form may run together with; null if with none.
  std::shared_ptr<Batch> find_or_make_batch(const CallSpec& spec, const Cut& cut) const;
  // How calls of this form go on from features that are kept; null if they do not.
  std::shared_ptr<const CachedCut> make_cached(const CallSpec& spec, Statistics& statistics) const;
  bool feeds_match(const CallSpec& spec, const NamedCut& cut) const noexcept;
  void check_sizes(const Plan& plan) const;

  std::string name_;
  std::string version_;
  Model model_;
  Limits limits_;
  ModelSettings settings_;
  std::vector<Signature> signatures_;
  std::vector<std::unique_ptr<CutStatistics>> statistics_;
  mutable ModelQueues queues_;
  mutable std::mutex making_;  // held while a cut or target is made
  mutable std::mutex mutex_;   // guards the caches, for moments
  mutable LruCache<Cut> cuts_;
  mutable LruCache<std::shared_ptr<Batch>> batches_;  // null: a form that cannot be batched
  mutable LruCache<std::shared_ptr<const Target>> targets_;
};

}  // namespace kerf::serving
