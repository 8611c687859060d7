#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace kerf::graph {

// The part of a graph between tensors that are fed and tensors that are fetched. An immutable
// value; shares the graph and so its weights.
struct Cut {
  std::shared_ptr<const Graph> graph;
  std::vector<TensorId> feeds;    // in the order asked for
  std::vector<TensorId> fetches;  // likewise; may repeat, may name feeds
  std::vector<CallId> calls;      // what must be computed, in topological order
  std::vector<TensorId> unused_feeds;  // fed, but no fetch needs them
};

struct CutOptions {
  bool strict = true;  // an unused feed is an error; otherwise it is listed in unused_feeds
};

// The tensor an address names (design: layer, layer:tensor, layer:call:tensor, path/layer,
// layer:mask, and input and output names). Throws Error(kNotFound) for an unknown name, with the
// nearest ones, and Error(kInvalidArgument) for an ambiguous one, with its candidates.
TensorId resolve(const Graph& graph, std::string_view address);

// The shortest address that resolve() takes for this tensor: a model input's name, "dense_1",
// "lstm:1", "shared:1:0", "encoder:1/conv2d", "embedding:mask".
std::string address_of(const Graph& graph, TensorId tensor);

// Every address under which resolve() finds this tensor, the shortest first.
std::vector<std::string> addresses_of(const Graph& graph, TensorId tensor);

// Throws Error(kInvalidArgument) if the fetches cannot be computed from the feeds: the message names
// the model inputs or masks that are missing, for each the path by which it is needed, and what
// would help: the smallest set of extra feeds, or the nearest tensor at which a cut works.
Cut cut(std::shared_ptr<const Graph> graph, std::span<const TensorId> feeds,
        std::span<const TensorId> fetches, const CutOptions& options = {});

// By addresses. Empty `feeds` means the model's inputs (those the fetches need), empty `fetches`
// its outputs.
Cut cut(std::shared_ptr<const Graph> graph, std::span<const std::string> feeds,
        std::span<const std::string> fetches, const CutOptions& options = {});

// The whole model: from its inputs (unused ones included) to its outputs.
Cut whole(std::shared_ptr<const Graph> graph);

// A tensor through which every path from the model's inputs to its outputs passes: feeding it alone
// is enough to compute all outputs.
struct Dominator {
  TensorId tensor = 0;
  std::int64_t bytes_per_sample = 0;  // unknown dimensions counted as 1
  double flops_before = 0;            // per sample, to compute it from the inputs
  double flops_after = 0;             // from it to the outputs
};

// In topological order; inputs and outputs themselves included where they qualify.
std::vector<Dominator> dominators(const Graph& graph);

}  // namespace kerf::graph
