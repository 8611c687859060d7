#include "graph/cut.h"
#include "graph/dependencies.h"

namespace kerf::graph {
namespace {

std::int64_t bytes_per_sample(const GraphTensor& tensor) {
  auto bytes = static_cast<std::int64_t>(dtype_size(tensor.dtype));
  for (const std::int64_t dim : tensor.shape) bytes *= dim == Shape::kUnknown ? 1 : dim;
  return bytes;
}

// What some tensors need: calls, and which of these have to make masks.
struct Needed {
  std::vector<bool> calls;
  std::vector<bool> masks;
};

Needed needed(const Graph& graph, std::vector<TensorId> tensors) {
  Needed result{std::vector<bool>(graph.calls().size()), std::vector<bool>(graph.calls().size())};
  std::vector<bool> seen(graph.tensors().size());
  while (!tensors.empty()) {
    const TensorId tensor = tensors.back();
    tensors.pop_back();
    const CallId producer = graph.tensor(tensor).producer;
    if (producer == kNone || seen[tensor]) continue;
    seen[tensor] = true;
    result.calls[producer] = true;
    if (graph.tensor(tensor).mask) result.masks[producer] = true;
    for_each_dependency(graph, tensor, [&](TensorId input) { tensors.push_back(input); });
  }
  return result;
}

}  // namespace

// Walks through the calls in execution order and keeps count of the values that were made so far
// and are used later. Where there is one, everything before leads to it and everything after comes
// from it: a dominator. Their sum is then its number.
std::vector<Dominator> dominators(const Graph& graph, std::span<const TensorId> fetches) {
  const auto [live, masks] = needed(graph, {fetches.begin(), fetches.end()});
  // Last use of each tensor as a position: call id + 1; fetches are used at the end. 0: never.
  const auto end = static_cast<CallId>(graph.calls().size());
  std::vector<CallId> last_use(graph.tensors().size(), 0);
  double total = 0;
  for (CallId id = 0; id < end; ++id) {
    if (!live[id]) continue;
    total += graph.call(id).flops;
    for_each_dependency(graph.call(id), masks[id],
                        [&](TensorId input) { last_use[input] = id + 1; });
  }
  for (const TensorId fetch : fetches) last_use[fetch] = end + 1;

  std::uint64_t open = 0;
  std::uint64_t sum = 0;
  double before = 0;
  std::vector<Dominator> result;
  const auto consider = [&] {
    if (open != 1) return;
    const auto tensor = static_cast<TensorId>(sum);
    if (!result.empty() && result.back().tensor == tensor) return;
    result.push_back({.tensor = tensor,
                      .bytes_per_sample = bytes_per_sample(graph.tensor(tensor)),
                      .flops_before = before,
                      .flops_after = total - before});
  };
  const auto begin_use = [&](TensorId tensor) {
    ++open;
    sum += tensor;
  };
  for (const Port& port : graph.inputs()) {
    if (last_use[port.tensor] != 0) begin_use(port.tensor);
  }
  consider();
  for (CallId id = 0; id < end; ++id) {
    if (!live[id]) continue;
    const Call& call = graph.call(id);
    before += call.flops;
    for_each_dependency(call, masks[id], [&](TensorId tensor) {
      if (last_use[tensor] != id + 1) return;
      last_use[tensor] = 0;  // closed once, however often the call reads it
      --open;
      sum -= tensor;
    });
    for (const TensorId tensor : call.outputs) {
      if (last_use[tensor] != 0) begin_use(tensor);
    }
    for (const TensorId tensor : call.masks) {
      if (tensor != kNone && graph.tensor(tensor).producer == id && last_use[tensor] != 0) {
        begin_use(tensor);
      }
    }
    consider();
  }
  return result;
}

std::vector<Dominator> dominators(const Graph& graph) {
  std::vector<TensorId> outputs;
  for (const Port& port : graph.outputs()) outputs.push_back(port.tensor);
  return dominators(graph, outputs);
}

}  // namespace kerf::graph
