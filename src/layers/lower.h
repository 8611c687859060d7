#pragma once

#include <optional>
#include <span>
#include <vector>

#include "graph/cut.h"
#include "graph/graph.h"
#include "layers/foreign_function.h"
#include "layers/registry.h"
#include "program/program.h"

namespace kerf::layers {

// What one call of a layer would give, found before its weights are known.
struct CallOutline {
  std::vector<WeightSpec> weights;
  std::vector<graph::Part> parts;
  std::vector<graph::GraphBuilder::Output> outputs;  // `mask` already an id of the graph
  std::vector<graph::TensorId> implicit_masks;       // parallel to `inputs`
  std::vector<bool> only_for_masks;                  // graph::Call's
  double flops = 0;
};

// Throws Error(kUnsupported) for a call that asks a layer or nested model to behave as in training.
void require_inference(const boost::json::object& arguments);

// Runs the layer's definition on the types of `inputs` (tensors of the graph under construction;
// `masks`, parallel to it, holds the mask travelling beside each, or kNone).
// Throws Error(kUnsupported) for a class that is not registered, and what the definition throws.
CallOutline outline(const graph::Layer& layer, const boost::json::object& arguments,
                    std::span<const graph::TensorId> inputs, std::span<const graph::TensorId> masks,
                    const graph::Graph& graph);

// What a layer computes as calls of keras.ops operations, as Keras would write them. In their
// arguments {"tensor": i} counts through the tensors of the call, then through the results of the
// operations in order.
struct Trace {
  struct Step {
    OperationCall operation;
    std::vector<program::ValueType> results;
  };
  std::vector<Step> steps;
  std::vector<std::size_t> outputs;
};

// Nothing for a call that does more than such operations. Throws as outline() does.
std::optional<Trace> trace(const graph::Graph& graph, const graph::Call& call);

// Lowers the calls of a cut to ops: feeds in the cut's order, fetches likewise. Weights must be
// present. Feeds have the graph's dtypes; bool masks are bool. What is computed from weights alone
// comes from, and stays in, `cache`.
program::Program lower(const graph::Cut& cut, program::ConstantCache& cache);

}  // namespace kerf::layers
