#include <algorithm>

#include "graph/cut.h"
#include "graph/dependencies.h"

namespace kerf::graph {
namespace {

std::int64_t bytes_per_sample(const GraphTensor& tensor) {
  auto bytes = static_cast<std::int64_t>(dtype_size(tensor.dtype));
  for (const std::int64_t dim : tensor.shape) bytes *= dim == Shape::kUnknown ? 1 : dim;
  return bytes;
}

// Calls that `tensors` need, given that `fed` is there.
std::vector<bool> needed(const Graph& graph, std::vector<TensorId> tensors, TensorId fed) {
  std::vector<bool> calls(graph.calls().size());
  while (!tensors.empty()) {
    const TensorId tensor = tensors.back();
    tensors.pop_back();
    const CallId producer = graph.tensor(tensor).producer;
    if (tensor == fed || producer == kNone || calls[producer]) continue;
    calls[producer] = true;
    for_each_dependency(graph.call(producer), [&](TensorId input) { tensors.push_back(input); });
  }
  return calls;
}

double cost(const Graph& graph, const std::vector<bool>& calls) {
  double flops = 0;
  for (CallId id = 0; id < calls.size(); ++id) {
    if (calls[id]) flops += graph.call(id).flops;
  }
  return flops;
}

}  // namespace

// Scans the tensors in execution order and counts the edges that leave what lies before: a tensor
// dominates where no value made before it, but itself, is used after it.
std::vector<Dominator> dominators(const Graph& graph) {
  std::vector<TensorId> outputs;
  for (const Port& port : graph.outputs()) outputs.push_back(port.tensor);
  const std::vector<bool> live = needed(graph, outputs, kNone);
  // Last use of each tensor as a position: call id + 1; outputs are used at the end.
  const auto end = static_cast<CallId>(graph.calls().size());
  std::vector<CallId> last_use(graph.tensors().size(), 0);
  for (CallId id = 0; id < end; ++id) {
    if (!live[id]) continue;
    for_each_dependency(graph.call(id), [&](TensorId input) { last_use[input] = id + 1; });
  }
  for (const TensorId output : outputs) last_use[output] = end + 1;

  // `open` holds the values made so far that are used later.
  std::vector<TensorId> open;
  std::vector<Dominator> result;
  const auto consider = [&] {
    if (open.size() != 1) return;
    const TensorId tensor = open.front();
    if (!result.empty() && result.back().tensor == tensor) return;
    const std::vector<bool> after = needed(graph, outputs, tensor);
    result.push_back({.tensor = tensor,
                      .bytes_per_sample = bytes_per_sample(graph.tensor(tensor)),
                      .flops_before = cost(graph, needed(graph, {tensor}, kNone)),
                      .flops_after = cost(graph, after)});
  };
  for (const Port& port : graph.inputs()) {
    if (last_use[port.tensor] != 0) open.push_back(port.tensor);
  }
  consider();
  for (CallId id = 0; id < end; ++id) {
    if (!live[id]) continue;
    std::erase_if(open, [&](TensorId tensor) { return last_use[tensor] <= id + 1; });
    const auto add = [&](TensorId tensor) {
      if (tensor != kNone && last_use[tensor] > id + 1 && graph.tensor(tensor).producer == id) {
        open.push_back(tensor);
      }
    };
    for (const TensorId tensor : graph.call(id).outputs) add(tensor);
    for (const TensorId tensor : graph.call(id).masks) add(tensor);
    consider();
  }
  return result;
}

}  // namespace kerf::graph
