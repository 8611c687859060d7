#include "layers/taken_masks.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace kerf::layers {
namespace {

struct Node {
  const LayerSpec* layer = nullptr;
  std::uint32_t index = 0;
  std::size_t depth = 0;  // calls from here to an output, at most
  std::size_t consumers = 0;

  const CallSpec& call() const { return layer->calls[index]; }
  bool attends() const { return layer->class_name == "MultiHeadAttention"; }
};

}  // namespace

TakenMasks taken_masks(const ModelSpec& model, int keras_major, int keras_minor) {
  TakenMasks taken;
  if (keras_major < 3 || (keras_major == 3 && keras_minor < 8)) return taken;
  std::vector<Node> nodes;
  std::map<std::pair<std::string, std::uint32_t>, std::size_t> by_call;
  for (const LayerSpec& layer : model.layers) {
    for (std::uint32_t i = 0; i < layer.calls.size(); ++i) {
      by_call[{layer.name, i}] = nodes.size();
      nodes.push_back({&layer, i});
    }
  }
  if (std::ranges::none_of(nodes, &Node::attends)) return taken;

  // Keras calls what is deepest first, and of one depth what stands last in the file.
  const auto producer_of = [&](const TensorRef& ref) -> Node* {
    const auto found = by_call.find({ref.layer, ref.node});
    return found == by_call.end() ? nullptr : &nodes[found->second];
  };
  for (const Node& node : nodes) {
    for (const TensorRef& ref : node.call().refs) {
      if (Node* producer = producer_of(ref)) ++producer->consumers;
    }
  }
  std::vector<Node*> ready;
  for (Node& node : nodes) {
    if (node.consumers == 0) ready.push_back(&node);
  }
  while (!ready.empty()) {
    const Node* node = ready.back();
    ready.pop_back();
    for (const TensorRef& ref : node->call().refs) {
      Node* producer = producer_of(ref);
      if (producer == nullptr) continue;
      producer->depth = std::max(producer->depth, node->depth + 1);
      if (--producer->consumers == 0) ready.push_back(producer);
    }
  }
  const auto before = [](const Node& a, const Node& b) {
    return a.depth != b.depth ? a.depth > b.depth : &a > &b;
  };

  using Tensor = std::tuple<std::string, std::uint32_t, std::uint32_t>;
  std::map<Tensor, const Node*> takers;  // the first
  const auto tensor_of = [](const TensorRef& ref) {
    return Tensor(ref.layer, ref.node, ref.tensor);
  };
  for (const Node& node : nodes) {
    if (!node.attends()) continue;
    for (const TensorRef& ref : node.call().refs) {
      const Node*& first = takers[tensor_of(ref)];
      if (first == nullptr || before(node, *first)) first = &node;
    }
  }
  for (const Node& node : nodes) {
    for (std::size_t i = 0; i < node.call().refs.size(); ++i) {
      const auto taker = takers.find(tensor_of(node.call().refs[i]));
      if (taker == takers.end() || !before(*taker->second, node)) continue;
      taken[{node.layer->name, node.index}].insert(i);
    }
  }
  return taken;
}

}  // namespace kerf::layers
