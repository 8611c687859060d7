#pragma once

#include <algorithm>

#include "graph/graph.h"

namespace kerf::graph {

// Calls visit(tensor) for everything a call reads: its inputs and the masks it takes beside them.
// Those from which it only makes the masks of its outputs are left out where these are not needed.
template <typename Visit>
void for_each_dependency(const Call& call, bool makes_masks, Visit&& visit) {
  for (const TensorId input : call.inputs) visit(input);
  for (std::size_t i = 0; i < call.implicit_masks.size(); ++i) {
    const bool needed = makes_masks || !call.only_for_masks[i];
    if (call.implicit_masks[i] != kNone && needed) visit(call.implicit_masks[i]);
  }
}

// For everything that is read to make `tensor`, which has a producer.
template <typename Visit>
void for_each_dependency(const Graph& graph, TensorId tensor, Visit&& visit) {
  for_each_dependency(graph.call(graph.tensor(tensor).producer), graph.tensor(tensor).mask, visit);
}

}  // namespace kerf::graph
