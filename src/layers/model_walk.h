#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kerf/error.h"
#include "layers/model_spec.h"

namespace kerf::layers {

// Calls the layers of a model one after another, each after those whose outputs it takes, and
// returns the model's outputs for its inputs. `call(layer, index, arguments, inputs)` makes call
// number `index` of a layer (an operation, a nested model) and returns its outputs: a vector of
// Value, which says by known() whether it is one. Outputs that depend on an unknown one are
// unknown. Throws Error(kInvalidFile) at `where` for graphs that cannot be computed.
template <class Value, class Call>
std::vector<Value> walk(const ModelSpec& model, std::vector<Value> inputs, const std::string& where,
                        const Call& call) {
  const auto invalid = [&](std::string message) {
    throw Error(ErrorCode::kInvalidFile, std::move(message), where);
  };
  if (model.sequential) {
    const boost::json::object arguments{
        {"args", boost::json::array{boost::json::object{{"tensor", 0}}}},
        {"kwargs", boost::json::object{}}};
    for (const LayerSpec& layer : model.layers) {
      if (layer.class_name == "InputLayer") continue;
      if (inputs.size() != 1) invalid("a layer of a Sequential model does not have one input");
      inputs = call(layer, std::uint32_t{0}, arguments, std::move(inputs));
    }
    return inputs;
  }

  static const Value kUnknown;
  std::map<std::pair<std::string, std::uint32_t>, std::vector<Value>> values;
  if (inputs.size() != model.inputs.size()) {
    invalid(fmt::format("the model '{}' takes {} inputs but is called with {}", model.name,
                        model.inputs.size(), inputs.size()));
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    values[{model.inputs[i].layer, 0}] = {inputs[i]};
  }
  std::set<std::string_view> names;
  for (const LayerSpec& layer : model.layers) names.insert(layer.name);
  const auto lookup = [&](const TensorRef& ref) -> const Value* {
    if (!names.contains(ref.layer)) {
      invalid(fmt::format("the model refers to a layer '{}' that it does not have", ref.layer));
    }
    const auto found = values.find({ref.layer, ref.node});
    if (found == values.end()) return nullptr;
    const auto known = [](const Value& value) { return value.known(); };
    if (!std::ranges::all_of(found->second, known)) return &kUnknown;
    if (ref.tensor >= found->second.size()) {
      invalid(fmt::format("the model refers to output {} of '{}', which has {}", ref.tensor,
                          ref.layer, found->second.size()));
    }
    return &found->second[ref.tensor];
  };
  std::deque<std::pair<const LayerSpec*, std::uint32_t>> pending;
  for (const LayerSpec& layer : model.layers) {
    for (std::uint32_t i = 0; i < layer.calls.size(); ++i) pending.emplace_back(&layer, i);
  }
  // Layers nearly always stand in an order that works, so one or two rounds do.
  bool progress = true;
  while (progress && !pending.empty()) {
    progress = false;
    for (std::size_t n = pending.size(); n > 0; --n) {
      const auto [layer, index] = pending.front();
      pending.pop_front();
      const CallSpec& spec = layer->calls[index];
      std::vector<Value> arguments;
      for (const TensorRef& ref : spec.refs) {
        const Value* value = lookup(ref);
        if (value == nullptr) break;
        arguments.push_back(*value);
      }
      if (arguments.size() != spec.refs.size()) {
        pending.emplace_back(layer, index);
        continue;
      }
      values[{layer->name, index}] = call(*layer, index, spec.arguments, std::move(arguments));
      progress = true;
    }
  }
  std::vector<Value> outputs;
  for (const TensorRef& ref : model.outputs) {
    const Value* value = lookup(ref);
    if (value == nullptr) {
      invalid(
          fmt::format("the output '{}' cannot be computed: the graph has a cycle, or refers "
                      "to a call that is not there",
                      ref.layer));
    }
    outputs.push_back(*value);
  }
  return outputs;
}

}  // namespace kerf::layers
