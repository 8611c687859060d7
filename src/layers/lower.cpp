#include "layers/lower.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "kerf/error.h"
#include "layers/base_call.h"
#include "layers/user_definitions.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using graph::kNone;
using graph::TensorId;

// A tensor that clients see as floats of another size, as it is computed with.
ValueId computed(program::ProgramBuilder& ops, ValueId x) {
  const DType dtype = ops.type(x).dtype;
  const bool other = is_floating(dtype) && dtype != DType::kFloat32;
  return other ? ops.append(program::Cast{DType::kFloat32}, {x}) : x;
}

// Runs a definition before the weights are known.
class OutlineCall : public BaseCall {
 public:
  OutlineCall(const graph::Layer& layer, const json::object& arguments,
              program::ProgramBuilder& ops, std::span<const TensorId> inputs,
              std::span<const TensorId> masks, const graph::Graph& graph)
      : BaseCall(layer, arguments, ops), masks_(masks), graph_(graph) {
    for (const TensorId id : inputs) {
      values_.push_back(ops.feed({graph.tensor(id).dtype, graph.tensor(id).shape}));
    }
    used_.resize(inputs.size());
    read_masks_.assign(inputs.size(), kNone);
  }

  ValueId argument_tensor(std::size_t i) override {
    used_.at(i) = true;
    return values_[i] = computed(ops_, values_[i]);
  }
  // Refuses what the definition does not look at: to leave out an argument is to compute something
  // else.
  void require_all_used() {
    for (const std::size_t i : explicit_masks_) used_.at(i) = true;
    for (std::size_t i = 0; i < used_.size(); ++i) {
      if (!used_[i]) {
        throw Error(
            ErrorCode::kUnsupported,
            fmt::format("it is called with a tensor (the {}. of {}) that kerf does not know "
                        "the use of",
                        i + 1, used_.size()),
            describe(layer_));
      }
    }
  }
  ValueId weight(std::string name, const Shape& shape, bool trainable) override {
    const auto [known, added] = weight_values_.try_emplace(name, 0);
    if (added) {
      weights_.push_back({.name = std::move(name), .shape = shape, .trainable = trainable});
      known->second = ops_.placeholder({DType::kFloat32, shape});
    }
    return known->second;
  }
  void part(std::string path, std::string name) override {
    if (std::ranges::find(parts_, path, &graph::Part::path) == parts_.end()) {
      parts_.push_back({.path = std::move(path), .name = std::move(name)});
    }
  }
  ValueId derived(std::string_view, std::vector<ValueId>, const Shape& shape, const Derivation&,
                  double) override {
    return ops_.placeholder({DType::kFloat32, shape});
  }
  ValueId made(std::string_view, const program::ValueType& type,
               const std::function<Tensor()>&) override {
    return ops_.placeholder(type);
  }

  CallOutline outline() {
    CallOutline result{.weights = std::move(weights_),
                       .parts = std::move(parts_),
                       .outputs = {},
                       .implicit_masks = read_masks_,
                       .only_for_masks = only_for_masks(),
                       .flops = 0};
    for (const Output& output : outputs_) {
      const program::ValueType& type = ops_.type(output.value);
      graph::GraphBuilder::Output made{.shape = type.shape, .dtype = type.dtype};
      if (output.passes_mask_of) {
        made.mask = masks_[*output.passes_mask_of];
      } else if (output.mask) {
        // A mask handed on as it came is the tensor it was, not a new one.
        const auto known = mask_values_.find(*output.mask);
        const auto argument = std::ranges::find(values_, *output.mask);
        if (known != mask_values_.end()) {
          made.mask = known->second;
        } else if (argument != values_.end()) {
          made.mask = argument_ids_[static_cast<std::size_t>(argument - values_.begin())];
        } else {
          made.new_mask = ops_.type(*output.mask).shape;
        }
      }
      result.outputs.push_back(made);
    }
    const program::Program& program = ops_.peek();
    for (const program::Instruction& instruction : program.instructions) {
      std::vector<program::ValueType> operands;
      std::vector<program::ValueType> results;
      for (const ValueId id : instruction.operands) operands.push_back(program.values[id].type);
      for (const ValueId id : instruction.results) results.push_back(program.values[id].type);
      result.flops += program::flops(instruction.op, operands, results);
    }
    return result;
  }

  // Which masks that were read no output depends on.
  std::vector<bool> only_for_masks() const {
    const program::Program& program = ops_.peek();
    std::vector<bool> needed(program.values.size());
    for (const Output& output : outputs_) needed[output.value] = true;
    for (auto it = program.instructions.rbegin(); it != program.instructions.rend(); ++it) {
      const bool read = std::ranges::any_of(it->results, [&](ValueId id) { return needed[id]; });
      if (!read) continue;
      for (const ValueId operand : it->operands) needed[operand] = true;
    }
    std::vector<bool> result;
    for (const TensorId mask : read_masks_) {
      result.push_back(mask != kNone && !needed[read_values_.at(mask)]);
    }
    return result;
  }

  void set_argument_ids(std::span<const TensorId> ids) { argument_ids_ = ids; }

 protected:
  bool travels(std::size_t argument) const override { return masks_[argument] != kNone; }
  ValueId travelling_mask(std::size_t argument) override {
    const TensorId id = masks_[argument];
    if (read_masks_[argument] == kNone) {
      read_masks_[argument] = id;
      const ValueId value = ops_.feed({DType::kBool, graph_.tensor(id).shape});
      mask_values_.emplace(value, id);
      read_values_.emplace(id, value);
    }
    return read_values_.at(id);
  }

  const std::vector<ValueId>& argument_values() const noexcept { return values_; }

 private:
  std::span<const TensorId> masks_;
  const graph::Graph& graph_;
  std::span<const TensorId> argument_ids_;
  std::vector<ValueId> values_;
  std::vector<bool> used_;  // parallel to values_
  std::vector<TensorId> read_masks_;
  std::unordered_map<ValueId, TensorId> mask_values_;
  std::unordered_map<TensorId, ValueId> read_values_;
  std::vector<WeightSpec> weights_;
  std::unordered_map<std::string, ValueId> weight_values_;
  std::vector<graph::Part> parts_;
};

// An array as Keras writes it: nested lists.
json::value nested(std::span<const double> values, const Shape& shape, std::size_t axis,
                   DType dtype) {
  if (axis == shape.rank()) {
    if (is_floating(dtype)) return values[0];
    if (dtype == DType::kBool) return values[0] != 0;
    return static_cast<std::int64_t>(values[0]);
  }
  json::array list;
  const auto count = static_cast<std::size_t>(shape[axis]);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t part = values.size() / count;
    list.push_back(nested(values.subspan(i * part, part), shape, axis + 1, dtype));
  }
  return list;
}

json::object array_json(const Tensor& tensor) {
  const Tensor values = tensor.cast(DType::kFloat64);
  return {{"class_name", "__numpy__"},
          {"config",
           json::object{{"value", nested(values.as<double>(), tensor.shape(), 0, tensor.dtype())},
                        {"dtype", dtype_name(tensor.dtype())}}}};
}

// Writes down the operations that a definition is made of.
class TracingCall final : public OutlineCall {
 public:
  using OutlineCall::OutlineCall;

  void operated(const OperationCall& operation, std::span<const ValueId> tensors,
                std::span<const ValueId> results) override {
    const LayerDefinition* definition = Registry::instance().find(operation.class_name, true);
    const std::span names = std::span(definition->arguments);
    OperationCall written{.class_name = operation.class_name, .config = {}, .args = {}};
    operands_ = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const json::value* given = operation.config.if_contains(names[i]);
      if (i < operation.args.size()) given = &operation.args[i];
      const bool all = given != nullptr && names[i].starts_with('*');
      if (i >= definition->parameters) {
        if (given != nullptr && !given->is_null()) written.config[names[i]] = *given;
      } else if (all && given->is_array() && i >= operation.args.size()) {
        for (const json::value& item : given->get_array()) {
          written.args.push_back(numbered(item, tensors));
        }
      } else {
        written.args.push_back(given == nullptr ? json::value() : numbered(*given, tensors));
      }
    }
    for (std::size_t i = definition->parameters; i < operation.args.size(); ++i) {
      written.args.push_back(numbered(operation.args[i], tensors));
    }
    while (!written.args.empty() && written.args.back().is_null()) written.args.pop_back();
    // What is made of constants alone is one, or unknown; what changes nothing is known.
    if (operands_ == 0 || number_of(results.front())) return;
    Trace::Step step{.operation = std::move(written), .results = {}};
    for (const ValueId result : results) {
      step.results.push_back(type(result));
      numbers_.try_emplace(result, argument_values().size() + made_++);
    }
    trace_.steps.push_back(std::move(step));
  }

  std::optional<Trace> finish() {
    for (const Output& output : outputs()) {
      const auto number = number_of(output.value);
      complete_ = complete_ && number && !output.mask && !output.passes_mask_of;
      trace_.outputs.push_back(number.value_or(0));
    }
    return complete_ ? std::optional(std::move(trace_)) : std::nullopt;
  }

 private:
  std::optional<std::size_t> number_of(ValueId value) const {
    const auto& inputs = argument_values();
    const auto input = std::ranges::find(inputs, value);
    if (input != inputs.end()) return static_cast<std::size_t>(input - inputs.begin());
    const auto known = numbers_.find(value);
    return known == numbers_.end() ? std::nullopt : std::optional(known->second);
  }

  json::value numbered(const json::value& value, std::span<const ValueId> tensors) {
    if (const json::array* array = value.if_array()) {
      json::array result;
      for (const json::value& item : *array) result.push_back(numbered(item, tensors));
      return result;
    }
    const json::object* object = value.if_object();
    const json::value* tensor = object == nullptr ? nullptr : object->if_contains("tensor");
    if (tensor == nullptr || !tensor->is_number()) {
      if (object == nullptr) return value;
      json::object result;
      for (const auto& entry : *object) result[entry.key()] = numbered(entry.value(), tensors);
      return result;
    }
    const ValueId id = tensors[tensor->to_number<std::size_t>()];
    if (const auto number = number_of(id)) {
      ++operands_;
      return json::object{{"tensor", *number}};
    }
    const program::Program& program = ops_.peek();
    if (!program.is_constant(id)) {
      complete_ = false;
      return nullptr;
    }
    return array_json(program.values[id].constant.elements());
  }

  Trace trace_;
  std::unordered_map<ValueId, std::size_t> numbers_;
  std::size_t made_ = 0;
  std::size_t operands_ = 0;  // tensors in the arguments of an operation
  bool complete_ = true;
};

// The weights of a layer as constants of one program, made on first use.
using LayerConstants = std::unordered_map<std::string, ValueId>;

// Runs a definition with the weights' values, appending to the program of a cut.
class LoweringCall final : public BaseCall {
 public:
  LoweringCall(const graph::Graph& graph, const graph::Call& call, program::ProgramBuilder& ops,
               program::ConstantCache& cache, std::unordered_map<TensorId, ValueId>& values,
               LayerConstants& constants)
      : BaseCall(graph.layer_of(call), call.arguments, ops),
        graph_(graph),
        call_(call),
        cache_(cache),
        values_(values),
        constants_(constants) {}

  ValueId argument_tensor(std::size_t i) override {
    return computed(ops_, values_.at(call_.inputs.at(i)));
  }

  ValueId weight(std::string name, const Shape& shape, bool) override {
    const auto known = constants_.find(name);
    if (known != constants_.end()) return known->second;
    const auto found = std::ranges::find(layer_.weights, name, &graph::Weight::name);
    if (found == layer_.weights.end()) {
      throw Error(ErrorCode::kInvalidFile, fmt::format("the weight '{}' is missing", name),
                  describe(layer_));
    }
    const graph::Weight& weight = *found;
    if (!shape.accepts(weight.value.shape())) {
      throw Error(ErrorCode::kInvalidFile,
                  fmt::format("the weight '{}' has the shape {}, but {} is expected", name,
                              weight.value.shape().to_string(), shape.to_string()),
                  describe(layer_));
    }
    Constant value = weight.value;
    if (value.dtype() != DType::kFloat32) {
      value = cache_.get({.derivation = "float32", .sources = {value.identity()}}, {&value, 1},
                         [&] { return weight.value.elements().cast(DType::kFloat32); });
    }
    const ValueId id = ops_.constant(std::move(value));
    constants_.emplace(std::move(name), id);
    return id;
  }

  ValueId derived(std::string_view name, std::vector<ValueId> weights, const Shape&,
                  const Derivation& make, double parameter) override {
    const auto known = constants_.find(std::string(name));
    if (known != constants_.end()) return known->second;
    std::vector<Constant> sources;
    program::ConstantCache::Key key{.derivation = fmt::format("{}({})", name, parameter),
                                    .sources = {}};
    for (const ValueId id : weights) {
      sources.push_back(ops_.peek().values[id].constant);
      key.sources.push_back(sources.back().identity());
    }
    const ValueId id = ops_.constant(cache_.get(key, sources, [&] {
      std::vector<Tensor> elements;
      for (const Constant& source : sources) elements.push_back(source.elements());
      return make(elements, parameter);
    }));
    constants_.emplace(std::string(name), id);
    return id;
  }

  ValueId made(std::string_view name, const program::ValueType&,
               const std::function<Tensor()>& make) override {
    const auto known = constants_.find(std::string(name));
    if (known != constants_.end()) return known->second;
    // A path is a layer's own in its model, as this cache is.
    const program::ConstantCache::Key key{
        .derivation = fmt::format("{} of the layer {}", name, layer_.path), .sources = {}};
    const ValueId id = ops_.constant(cache_.get(key, {}, make));
    constants_.emplace(std::string(name), id);
    return id;
  }

  void part(std::string, std::string) override {}

  // Binds the call's outputs and the masks it creates to the values it computed.
  void bind() {
    for (std::size_t i = 0; i < outputs_.size(); ++i) {
      ValueId value = outputs_[i].value;
      const DType dtype = graph_.tensor(call_.outputs[i]).dtype;
      if (dtype != ops_.type(value).dtype) value = ops_.append(program::Cast{dtype}, {value});
      values_.try_emplace(call_.outputs[i], value);
      if (outputs_[i].mask && call_.masks[i] != kNone) {
        values_.try_emplace(call_.masks[i], *outputs_[i].mask);
      }
    }
  }

 protected:
  bool travels(std::size_t argument) const override {
    // What the outline read is here; a mask that only passes by is not asked for.
    return call_.implicit_masks[argument] != kNone;
  }
  ValueId travelling_mask(std::size_t argument) override {
    const TensorId mask = call_.implicit_masks[argument];
    const auto known = values_.find(mask);
    if (known != values_.end()) return known->second;
    // It makes masks that nothing in the cut reads, and leaves with them.
    return ops_.placeholder({DType::kBool, graph_.tensor(mask).shape});
  }

 private:
  const graph::Graph& graph_;
  const graph::Call& call_;
  program::ConstantCache& cache_;
  std::unordered_map<TensorId, ValueId>& values_;
  LayerConstants& constants_;
};

const LayerDefinition& definition_of(const graph::Layer& layer) {
  const LayerDefinition* definition =
      find_definition(layer.class_name, layer.operation, layer.identity, layer.extensions.get());
  if (definition == nullptr) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("kerf does not know the class {}", layer.class_name), describe(layer));
  }
  return *definition;
}

// Errors of the op checks know the shapes but not the layer.
[[noreturn]] void rethrow_at(const Error& error, const graph::Layer& layer) {
  if (!error.where().empty()) throw error;
  throw Error(error.code(), error.message(), describe(layer));
}

}  // namespace

void require_inference(const json::object& arguments) {
  const json::value* kwargs = arguments.if_contains("kwargs");
  if (kwargs == nullptr || !kwargs->is_object()) return;
  const json::value* training = kwargs->get_object().if_contains("training");
  if (training != nullptr && training->is_bool() && training->get_bool()) {
    throw Error(ErrorCode::kUnsupported,
                "it is called with training=True, which draws random numbers or normalises by the "
                "batch at inference; call it without");
  }
}

CallOutline outline(const graph::Layer& layer, const json::object& arguments,
                    std::span<const TensorId> inputs, std::span<const TensorId> masks,
                    const graph::Graph& graph) {
  const LayerDefinition& definition = definition_of(layer);
  program::ProgramBuilder ops;
  OutlineCall call(layer, arguments, ops, inputs, masks, graph);
  call.set_argument_ids(inputs);
  try {
    require_inference(arguments);
    definition.lower(call);
  } catch (const Error& error) {
    // What does not fit together here does not in the file.
    if (error.code() == ErrorCode::kInvalidArgument) {
      rethrow_at(Error(ErrorCode::kInvalidFile, error.message(), error.where()), layer);
    }
    rethrow_at(error, layer);
  }
  call.require_all_used();
  return call.outline();
}

std::optional<Trace> trace(const graph::Graph& graph, const graph::Call& call) {
  const graph::Layer& layer = graph.layer_of(call);
  program::ProgramBuilder ops;
  TracingCall tracing(layer, call.arguments, ops, call.inputs, call.implicit_masks, graph);
  try {
    definition_of(layer).lower(tracing);
  } catch (const Error& error) {
    rethrow_at(error, layer);
  }
  return tracing.finish();
}

program::Program lower(const graph::Cut& cut, program::ConstantCache& cache) {
  const graph::Graph& graph = *cut.graph;
  program::ProgramBuilder ops;
  std::unordered_map<TensorId, ValueId> values;
  std::unordered_map<graph::LayerId, LayerConstants> constants;
  for (const TensorId feed : cut.feeds) {
    const graph::GraphTensor& tensor = graph.tensor(feed);
    values.emplace(feed, ops.feed({tensor.dtype, tensor.shape}));
  }
  for (const graph::CallId id : cut.calls) {
    const graph::Call& call = graph.call(id);
    const graph::Layer& layer = graph.layer_of(call);
    ops.set_source(graph::address_of(graph, call.outputs.front()));
    LoweringCall lowering(graph, call, ops, cache, values, constants[call.layer]);
    try {
      definition_of(layer).lower(lowering);
    } catch (const Error& error) {
      rethrow_at(error, layer);
    }
    lowering.bind();
  }
  for (const TensorId fetch : cut.fetches) ops.fetch(values.at(fetch));
  return ops.build();
}

}  // namespace kerf::layers
