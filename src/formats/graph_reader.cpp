#include "formats/graph_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <set>
#include <utility>

#include "formats/call_arguments.h"
#include "kerf/error.h"
#include "layers/config.h"
#include "layers/dtype_policy.h"
#include "layers/lower.h"
#include "layers/model_walk.h"
#include "layers/operation.h"
#include "layers/taken_masks.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;
using graph::kNone;
using graph::ScopeId;
using graph::TensorId;

// A tensor on its way through the configuration, with its mask. `tensor` is kNone for the output of
// a layer that could not be read; so is then everything computed from it.
struct Travelling {
  TensorId tensor = kNone;
  TensorId mask = kNone;
  bool known() const { return tensor != kNone; }
};

bool all_known(const std::vector<Travelling>& values) {
  return std::ranges::all_of(values, &Travelling::known);
}

// What a layer would compute, where the configuration makes sense.
layers::CallOutline outline_of(const graph::Layer& layer, const json::object& arguments,
                               const std::vector<TensorId>& inputs,
                               const std::vector<TensorId>& masks, const graph::Graph& graph) {
  const std::string where = fmt::format("layer '{}' ({})", layer.path, layer.class_name);
  try {
    layers::CallOutline outline = layers::outline(layer, arguments, inputs, masks, graph);
    for (const layers::WeightSpec& weight : outline.weights) {
      if (!weight.shape.is_static()) {
        throw Error(ErrorCode::kInvalidFile,
                    fmt::format("its weight '{}' would have the shape {}", weight.name,
                                weight.shape.to_string()),
                    where);
      }
    }
    return outline;
  } catch (const Error& error) {
    // What is a bad argument to an operation is here a bad file.
    const bool argument = error.code() == ErrorCode::kInvalidArgument ||
                          error.code() == ErrorCode::kResourceExhausted;
    if (!argument) throw;
    throw Error(ErrorCode::kInvalidFile, error.message(),
                error.where().empty() ? where : error.where());
  }
}

class Reader {
 public:
  Reader(Skeleton& skeleton, KerasVersion version, Problems& problems)
      : skeleton_(skeleton), version_(version), problems_(problems), where_(problems.where()) {}

  void read_root(const ModelSpec& model) {
    std::vector<Travelling> inputs;
    if (model.sequential) {
      inputs.push_back(add_input(model.layers.front()));
    } else {
      for (const TensorRef& ref : model.inputs) {
        const LayerSpec* layer = model.find(ref.layer);
        if (layer == nullptr || layer->class_name != "InputLayer") {
          invalid(fmt::format("the model input '{}' is not an InputLayer", ref.layer));
        }
        inputs.push_back(add_input(*layer));
      }
    }
    const std::vector<Travelling> outputs = run(model, "", kNone, inputs);
    if (!all_known(outputs)) return;
    std::set<std::string> taken;
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      std::string base = model.sequential ? model.layers.back().name : model.output_names[i];
      if (base.empty()) base = model.outputs[i].layer;
      // The second "lstm" is not called "lstm_1" where a layer is.
      std::string name = base;
      for (int n = 1; taken.contains(name) || (n > 1 && model.find(name) != nullptr); ++n) {
        name = fmt::format("{}_{}", base, n);
      }
      taken.insert(name);
      skeleton_.builder.add_output(name, outputs[i].tensor);
      skeleton_.builder.set_dtype(
          outputs[i].tensor, layers::reported_dtype(skeleton_.builder.peek(), outputs[i].tensor));
    }
  }

 private:
  [[noreturn]] void invalid(std::string message) const {
    throw Error(ErrorCode::kInvalidFile, std::move(message), where_);
  }

  Travelling add_input(const LayerSpec& layer) {
    const layers::Config config(layer.config, fmt::format("{}, input '{}'", where_, layer.name));
    const std::string_view key = config.has("batch_shape") ? "batch_shape" : "batch_input_shape";
    if (!config.has(key)) {
      config.unsupported(key,
                         "the shape of the model's input is not in the file; save the model "
                         "after it was built or called once");
    }
    if (config.boolean("sparse", false) || config.boolean("ragged", false)) {
      config.unsupported("sparse", "sparse and ragged inputs are not supported");
    }
    const std::vector<std::int64_t> dims = config.integers(key);
    if (dims.size() > Shape::kMaxRank) {
      config.unsupported(key, fmt::format("it has more than {} dimensions", Shape::kMaxRank));
    }
    if (std::ranges::any_of(dims, [](std::int64_t dim) { return dim < Shape::kUnknown; })) {
      config.invalid(key, "it has a negative dimension");
    }
    const boost::json::value* type = config.find("dtype");
    const std::string name =
        type != nullptr && type->is_string() ? std::string(type->get_string()) : "float32";
    const auto dtype = dtype_from_name(name);
    if (!dtype) {
      config.unsupported("dtype", fmt::format("inputs of the dtype '{}' are not supported", name));
    }
    // kerf computes in float32 and two integer types; narrower integers widen without loss, and
    // other floats are converted.
    const DType used = is_floating(*dtype) ? *dtype : layers::computed_dtype(*dtype);
    return {.tensor = skeleton_.builder.add_input(layer.name, Shape(dims), used)};
  }

  graph::LayerId layer_id(const LayerSpec& spec, const std::string& path) {
    const auto [it, added] = skeleton_.layers.try_emplace(path, 0);
    if (added) {
      it->second = skeleton_.builder.add_layer({.path = path,
                                                .class_name = spec.class_name,
                                                .operation = spec.operation,
                                                .config = spec.config,
                                                .keras_major = version_.major,
                                                .keras_minor = version_.minor,
                                                .identity = spec.identity,
                                                .weights = {},
                                                .parts = {},
                                                .extensions = problems_.extensions()});
    }
    return it->second;
  }

  // What a nested model is called with, by the names it has for it.
  static std::vector<graph::Port> ports_of(const ModelSpec& model,
                                           const std::vector<Travelling>& inputs) {
    std::vector<graph::Port> ports;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (model.sequential && i == 0) {
        ports.push_back({.name = model.layers.front().name, .tensor = inputs[i].tensor});
      } else if (!model.sequential && i < model.inputs.size()) {
        ports.push_back({.name = model.inputs[i].layer, .tensor = inputs[i].tensor});
      }
    }
    return ports;
  }

  // What a nested model's inputs are bound to: the tensors of the first argument. A mask given by
  // keyword stands for the one that travels.
  std::vector<Travelling> inputs_of_model(json::object arguments,
                                          std::vector<Travelling> tensors) const {
    if (all_known(tensors)) read_travelling_mask(arguments, tensors);
    std::vector<Travelling> inputs;
    for (const std::size_t i : first_tensors(arguments)) inputs.push_back(tensors.at(i));
    const auto mask = mask_tensor(arguments);
    if (mask && inputs.size() == 1) inputs.front().mask = tensors.at(*mask).tensor;
    return inputs;
  }

  // A mask given by keyword that is a copy of the one that travels is not read a second time: then
  // the model has one mask, `layer:mask`, whoever wrote the file.
  void read_travelling_mask(json::object& arguments, std::vector<Travelling>& inputs) const {
    const std::vector<std::size_t> first = first_tensors(arguments);
    const auto mask = mask_tensor(arguments);
    if (!mask || first.size() != 1) return;
    const Travelling& input = inputs.at(first.front());
    if (input.mask == kNone ||
        !is_copy_of_mask(skeleton_.builder.peek(), inputs.at(*mask).tensor, input.mask)) {
      return;
    }
    drop_mask(arguments);
    inputs.erase(inputs.begin() + static_cast<std::ptrdiff_t>(*mask));
  }

  // Adds one call of a layer or of a nested model.
  std::vector<Travelling> add_call(const LayerSpec& spec, const std::string& prefix, ScopeId scope,
                                   std::uint32_t index, json::object arguments,
                                   std::vector<Travelling> inputs) {
    const std::string path = prefix + spec.name;
    // Nested models that call each other twice at every level would grow without end.
    constexpr std::size_t kMostCalls = 100'000;
    const graph::Graph& built = skeleton_.builder.peek();
    if (built.calls().size() + built.scopes().size() > kMostCalls) {
      invalid(fmt::format("the model makes more than {} calls", kMostCalls));
    }
    if (spec.model) {
      if (path.size() > 4096) invalid("models are nested too deeply");
      if (!problems_.attempt([&] { layers::require_inference(arguments); })) return {Travelling{}};
      inputs = inputs_of_model(arguments, inputs);
      const ScopeId inner =
          skeleton_.builder.add_scope(spec.name, index, scope, ports_of(*spec.model, inputs));
      const std::vector<Travelling> outputs = run(*spec.model, path + "/", inner, inputs);
      std::vector<TensorId> tensors;
      std::vector<TensorId> masks;
      for (const Travelling& output : outputs) {
        tensors.push_back(output.tensor);
        masks.push_back(output.mask);
      }
      if (!all_known(outputs)) return outputs;
      skeleton_.builder.set_scope_outputs(inner, tensors, masks);
      return outputs;
    }
    if (!all_known(inputs) || !is_known(spec, problems_.extensions().get())) return {Travelling{}};
    read_travelling_mask(arguments, inputs);
    const graph::LayerId id = layer_id(spec, path);
    std::vector<TensorId> tensors;
    std::vector<TensorId> masks;
    for (const Travelling& input : inputs) {
      tensors.push_back(input.tensor);
      masks.push_back(input.mask);
    }
    const graph::Graph& graph = skeleton_.builder.peek();
    layers::CallOutline outline;
    if (!problems_.attempt(
            [&] { outline = outline_of(graph.layer(id), arguments, tensors, masks, graph); })) {
      return {Travelling{}};
    }
    skeleton_.weights.try_emplace(id, std::move(outline.weights));
    skeleton_.builder.layer(id).parts = std::move(outline.parts);
    const graph::CallId call = skeleton_.builder.add_call(
        id, index, scope, arguments, std::move(tensors), std::move(outline.implicit_masks),
        std::move(outline.only_for_masks), outline.outputs, outline.flops);
    const graph::Call& made = skeleton_.builder.peek().call(call);
    std::vector<Travelling> outputs;
    for (std::size_t i = 0; i < made.outputs.size(); ++i) {
      outputs.push_back({made.outputs[i], made.masks[i]});
    }
    return outputs;
  }

  std::vector<Travelling> run(const ModelSpec& model, const std::string& prefix, ScopeId scope,
                              const std::vector<Travelling>& inputs) {
    const layers::TakenMasks taken = layers::taken_masks(model, version_.major, version_.minor);
    return layers::walk(
        model, inputs, where_,
        [&](const LayerSpec& layer, std::uint32_t index, const json::object& arguments,
            std::vector<Travelling> tensors) {
          if (const auto found = taken.find({layer.name, index}); found != taken.end()) {
            for (const std::size_t i : found->second) tensors[i].mask = kNone;
          }
          return add_call(layer, prefix, scope, index, arguments, std::move(tensors));
        });
  }

  Skeleton& skeleton_;
  KerasVersion version_;
  Problems& problems_;
  const std::string& where_;
};

}  // namespace

KerasVersion parse_version(std::string_view text) {
  KerasVersion version;
  const auto first = std::from_chars(text.data(), text.data() + text.size(), version.major);
  if (first.ec != std::errc()) return {};
  if (first.ptr != text.data() + text.size() && *first.ptr == '.') {
    std::from_chars(first.ptr + 1, text.data() + text.size(), version.minor);
  }
  return version;
}

Skeleton read_graph(const ModelSpec& model, KerasVersion version, Problems& problems) {
  Skeleton skeleton{.builder = graph::GraphBuilder(model.name), .layers = {}, .weights = {}};
  problems.attempt([&] { Reader(skeleton, version, problems).read_root(model); });
  return skeleton;
}

}  // namespace kerf::formats
