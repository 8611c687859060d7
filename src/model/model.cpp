#include "kerf/model.h"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <utility>

#include "formats/reader.h"
#include "graph/describe.h"
#include "layers/lower.h"
#include "model/impl.h"

namespace kerf {
namespace {

TensorInfo info_of(const graph::Graph& graph, graph::TensorId id, std::string name) {
  const graph::GraphTensor& tensor = graph.tensor(id);
  return {.name = std::move(name), .dtype = tensor.dtype, .shape = tensor.shape};
}

std::vector<TensorInfo> ports(const graph::Graph& graph, std::span<const graph::Port> ports) {
  std::vector<TensorInfo> infos;
  for (const graph::Port& port : ports) infos.push_back(info_of(graph, port.tensor, port.name));
  return infos;
}

// The names by which a caller asked for tensors, or the model's own where it did not.
std::vector<TensorInfo> named(const graph::Graph& graph, std::span<const graph::TensorId> tensors,
                              std::span<const std::string> asked,
                              std::span<const graph::Port> ports) {
  std::vector<TensorInfo> infos;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    std::string name;
    if (!asked.empty()) {
      name = asked[i];
    } else {
      for (const graph::Port& port : ports) {
        if (port.tensor == tensors[i]) name = port.name;
      }
    }
    infos.push_back(info_of(graph, tensors[i], std::move(name)));
  }
  return infos;
}

}  // namespace

Model Model::load(const std::filesystem::path& file, const LoadOptions& options) {
  auto impl = std::make_shared<Impl>();
  impl->graph = formats::read_model(file, {.progress = options.progress,
                                           .extensions = options.extensions.impl(),
                                           .weights = options.weights});
  impl->inputs = ports(*impl->graph, impl->graph->inputs());
  impl->outputs = ports(*impl->graph, impl->graph->outputs());
  impl->precision = options.precision;
  impl->keep_exact = options.precision == Precision::kFloat32;
  Model model;
  model.impl_ = std::move(impl);
  return model;
}

Model Model::with_precision(Precision precision) const {
  auto impl = std::make_shared<Impl>(*impl_);
  impl->precision = precision;
  Model model;
  model.impl_ = std::move(impl);
  return model;
}

Precision Model::precision() const noexcept { return impl_->precision; }
const std::string& Model::name() const noexcept { return impl_->graph->name(); }
const std::vector<TensorInfo>& Model::inputs() const noexcept { return impl_->inputs; }
const std::vector<TensorInfo>& Model::outputs() const noexcept { return impl_->outputs; }

std::int64_t Model::parameter_count() const noexcept {
  std::int64_t count = 0;
  for (const graph::Layer& layer : impl_->graph->layers()) count += layer.parameter_count();
  return count;
}

std::size_t Model::memory_bytes() const {
  std::size_t bytes = impl_->constants->byte_size();
  for (const graph::Layer& layer : impl_->graph->layers()) {
    for (const graph::Weight& weight : layer.weights) bytes += weight.value.held_bytes();
  }
  return bytes;
}

Cut Model::whole() const {
  const graph::Graph& graph = *impl_->graph;
  auto cut = std::make_shared<Cut::Impl>();
  cut->graph = impl_->graph;
  cut->constants = impl_->constants;
  cut->precision = impl_->precision;
  cut->keep_exact = impl_->keep_exact;
  cut->cut = graph::whole(impl_->graph);
  cut->program = std::make_shared<const program::Program>(
      program::optimize(layers::lower(cut->cut, *impl_->constants), *impl_->constants));
  cut->feeds = ports(graph, graph.inputs());
  cut->fetches = ports(graph, graph.outputs());
  Cut handle;
  handle.impl_ = std::move(cut);
  return handle;
}

Cut Model::cut(std::span<const std::string> feeds, std::span<const std::string> fetches,
               const CutOptions& options) const {
  const graph::Graph& graph = *impl_->graph;
  auto cut = std::make_shared<Cut::Impl>();
  cut->graph = impl_->graph;
  cut->constants = impl_->constants;
  cut->precision = impl_->precision;
  cut->keep_exact = impl_->keep_exact;
  cut->cut = graph::cut(impl_->graph, feeds, fetches, {.strict = options.strict});
  cut->program = std::make_shared<const program::Program>(
      program::optimize(layers::lower(cut->cut, *impl_->constants), *impl_->constants));
  cut->feeds = named(graph, cut->cut.feeds, feeds, graph.inputs());
  cut->fetches = fetches.empty() ? ports(graph, graph.outputs())
                                 : named(graph, cut->cut.fetches, fetches, graph.outputs());
  for (const graph::TensorId id : cut->cut.unused_feeds) {
    for (std::size_t i = 0; i < cut->cut.feeds.size(); ++i) {
      if (cut->cut.feeds[i] == id) cut->unused_feeds.push_back(cut->feeds[i].name);
    }
  }
  Cut handle;
  handle.impl_ = std::move(cut);
  return handle;
}

std::vector<TensorInfo> Model::tensors() const {
  const graph::Graph& graph = *impl_->graph;
  std::vector<TensorInfo> infos;
  for (graph::TensorId id = 0; id < graph.tensors().size(); ++id) {
    infos.push_back(info_of(graph, id, graph::address_of(graph, id)));
  }
  return infos;
}

std::vector<CutPoint> Model::cut_points() const {
  const graph::Graph& graph = *impl_->graph;
  std::vector<CutPoint> points;
  for (const graph::Dominator& dominator : graph::dominators(graph)) {
    points.push_back(
        {.tensor = info_of(graph, dominator.tensor, graph::address_of(graph, dominator.tensor)),
         .bytes_per_sample = dominator.bytes_per_sample,
         .flops_before = dominator.flops_before,
         .flops_after = dominator.flops_after});
  }
  return points;
}

std::string Model::summary() const {
  std::string text = graph::describe_text(*impl_->graph);
  if (impl_->precision != Precision::kFloat32) {
    text += fmt::format("\nprecision: {}\n", precision_name(impl_->precision));
  }
  return text;
}

std::string Model::to_json() const {
  boost::json::object json = graph::describe_json(*impl_->graph);
  json["precision"] = precision_name(impl_->precision);
  return boost::json::serialize(json);
}
std::string Model::to_dot() const { return graph::describe_dot(*impl_->graph); }

std::vector<std::string> check_model(const std::filesystem::path& file,
                                     const LoadOptions& options) {
  return formats::problems(
      file, {.progress = {}, .extensions = options.extensions.impl(), .weights = options.weights});
}

}  // namespace kerf
