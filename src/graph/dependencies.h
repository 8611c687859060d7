#pragma once

#include "graph/graph.h"

namespace kerf::graph {

// Calls visit(tensor) for everything a call reads: its inputs and the masks it takes beside them.
template <typename Visit>
void for_each_dependency(const Call& call, Visit&& visit) {
  for (const TensorId input : call.inputs) visit(input);
  for (const TensorId mask : call.implicit_masks) {
    if (mask != kNone) visit(mask);
  }
}

}  // namespace kerf::graph
