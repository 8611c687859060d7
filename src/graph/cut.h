#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "graph/address.h"
#include "graph/graph.h"

namespace kerf::graph {

// The part of a graph between tensors that are fed and tensors that are fetched. An immutable
// value; shares the graph and so its weights.
struct Cut {
  std::shared_ptr<const Graph> graph;
  std::vector<TensorId> feeds;         // in the order asked for
  std::vector<TensorId> fetches;       // likewise; may repeat, may name feeds
  std::vector<CallId> calls;           // what must be computed, in topological order
  std::vector<TensorId> unused_feeds;  // fed, but no fetch needs them
};

struct CutOptions {
  bool strict = true;  // an unused feed is an error; otherwise it is listed in unused_feeds
};

// Walks back from the fetches and stops at the feeds. Throws Error(kInvalidArgument) if that
// reaches a model input that is not fed: the message names each such input and the path by which it
// is needed, and what would help: the fewest tensors to feed too, and the nearest single tensor at
// which the cut works. Masks that travel beside tensors are tensors here: a cut that needs one has
// to feed it. A fetch that is fed is returned as it came. Linear in the size of the graph.
Cut cut(const std::shared_ptr<const Graph>& graph, std::span<const TensorId> feeds,
        std::span<const TensorId> fetches, const CutOptions& options = {});

// By addresses. Empty `feeds` means the model's inputs (those the fetches need), empty `fetches`
// its outputs.
Cut cut(const std::shared_ptr<const Graph>& graph, std::span<const std::string> feeds,
        std::span<const std::string> fetches, const CutOptions& options = {});

// The whole model: from its inputs (unused ones included) to its outputs.
Cut whole(const std::shared_ptr<const Graph>& graph);

// A tensor through which every path from the model's inputs to its outputs passes: feeding it alone
// is enough to compute all outputs.
struct Dominator {
  TensorId tensor = 0;
  std::int64_t bytes_per_sample = 0;  // unknown dimensions counted as 1
  double flops_before = 0;            // per sample, to compute it from the inputs
  double flops_after = 0;             // from it to the outputs
};

// In topological order; inputs and outputs themselves included where they qualify. Linear in the
// size of the graph.
std::vector<Dominator> dominators(const Graph& graph);
// The same for paths to these tensors instead of the model's outputs.
std::vector<Dominator> dominators(const Graph& graph, std::span<const TensorId> fetches);

}  // namespace kerf::graph
