#include "layers/nested_calls.h"

#include <algorithm>

namespace kerf::layers {
namespace {

using References = std::vector<TensorRef*>;

References references_to(const LayerSpec& layer, std::vector<TensorRef>& among) {
  References found;
  for (TensorRef& ref : among) {
    if (ref.layer == layer.name) found.push_back(&ref);
  }
  return found;
}

bool contains(const References& references, std::size_t node) {
  return std::ranges::any_of(references, [&](const TensorRef* ref) { return ref->node == node; });
}

// `from_one`: how this kind of reference is counted where its numbers leave it open.
void renumber(const References& references, std::size_t calls, bool from_one) {
  const bool shifted = contains(references, calls) || (from_one && !contains(references, 0));
  for (TensorRef* ref : references) {
    if (calls == 1) {
      ref->node = 0;
    } else if (shifted && ref->node > 0) {
      --ref->node;
    }
  }
}

}  // namespace

void renumber_nested_calls(ModelSpec& model, bool keras3) {
  for (const LayerSpec& layer : model.layers) {
    if (!layer.model || layer.calls.empty()) continue;
    References inbound;
    for (LayerSpec& other : model.layers) {
      for (CallSpec& call : other.calls) {
        const References found = references_to(layer, call.refs);
        inbound.insert(inbound.end(), found.begin(), found.end());
      }
    }
    const References outputs = references_to(layer, model.outputs);
    const bool zero = contains(inbound, 0) || contains(outputs, 0);
    renumber(inbound, layer.calls.size(), !keras3 && !zero);
    renumber(outputs, layer.calls.size(), keras3 ? !layer.model->sequential : !zero);
  }
}

}  // namespace kerf::layers
