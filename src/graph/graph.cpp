#include "graph/graph.h"

#include <utility>

#include "graph/address.h"

namespace kerf::graph {

std::string_view Layer::name() const noexcept {
  const std::string_view whole = path;
  const auto slash = whole.rfind('/');
  return slash == std::string_view::npos ? whole : whole.substr(slash + 1);
}

std::int64_t Layer::parameter_count() const noexcept {
  std::int64_t count = 0;
  for (const Weight& weight : weights) {
    const std::size_t size = dtype_size(weight.value.dtype());
    if (size != 0) count += static_cast<std::int64_t>(weight.value.byte_size() / size);
  }
  return count;
}

GraphBuilder::GraphBuilder(std::string name) { graph_.name_ = std::move(name); }

TensorId GraphBuilder::add_input(std::string name, const Shape& shape, DType dtype) {
  const auto id = static_cast<TensorId>(graph_.tensors_.size());
  graph_.tensors_.push_back({.shape = shape, .dtype = dtype});
  graph_.inputs_.push_back({.name = std::move(name), .tensor = id});
  return id;
}

LayerId GraphBuilder::add_layer(Layer layer) {
  graph_.layers_.push_back(std::move(layer));
  return static_cast<LayerId>(graph_.layers_.size() - 1);
}

CallId GraphBuilder::add_call(LayerId layer, std::uint32_t index, ScopeId scope,
                              boost::json::object arguments, std::vector<TensorId> inputs,
                              std::vector<TensorId> implicit_masks,
                              std::vector<bool> only_for_masks, std::span<const Output> outputs,
                              double flops) {
  only_for_masks.resize(implicit_masks.size());
  const auto id = static_cast<CallId>(graph_.calls_.size());
  Call call{.layer = layer,
            .index = index,
            .scope = scope,
            .arguments = std::move(arguments),
            .inputs = std::move(inputs),
            .implicit_masks = std::move(implicit_masks),
            .only_for_masks = std::move(only_for_masks),
            .outputs = {},
            .masks = {},
            .flops = flops};
  const auto add_tensor = [&](const Shape& shape, DType dtype, std::uint32_t output, bool mask) {
    graph_.tensors_.push_back(
        {.shape = shape, .dtype = dtype, .producer = id, .index = output, .mask = mask});
    return static_cast<TensorId>(graph_.tensors_.size() - 1);
  };
  for (std::uint32_t i = 0; i < outputs.size(); ++i) {
    call.outputs.push_back(add_tensor(outputs[i].shape, outputs[i].dtype, i, false));
  }
  for (std::uint32_t i = 0; i < outputs.size(); ++i) {
    call.masks.push_back(outputs[i].new_mask
                             ? add_tensor(*outputs[i].new_mask, DType::kBool, i, true)
                             : outputs[i].mask);
  }
  graph_.calls_.push_back(std::move(call));
  return id;
}

ScopeId GraphBuilder::add_scope(std::string name, std::uint32_t index, ScopeId parent,
                                std::vector<Port> inputs) {
  graph_.scopes_.push_back({.name = std::move(name),
                            .index = index,
                            .parent = parent,
                            .inputs = std::move(inputs),
                            .outputs = {},
                            .masks = {}});
  return static_cast<ScopeId>(graph_.scopes_.size() - 1);
}

void GraphBuilder::set_scope_outputs(ScopeId scope, std::vector<TensorId> outputs,
                                     std::vector<TensorId> masks) {
  graph_.scopes_[scope].outputs = std::move(outputs);
  graph_.scopes_[scope].masks = std::move(masks);
}

void GraphBuilder::add_output(std::string name, TensorId tensor) {
  graph_.outputs_.push_back({.name = std::move(name), .tensor = tensor});
}

std::shared_ptr<const Graph> GraphBuilder::build() {
  graph_.addresses_ = std::make_shared<const AddressIndex>(graph_);
  return std::make_shared<const Graph>(std::move(graph_));
}

}  // namespace kerf::graph
