#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"
#include "layers/config.h"
#include "program/program.h"

namespace kerf::layers {

// One weight that a layer expects: its path below the layer ("kernel", "cell/bias"), its shape
// (unknown where the input's is), and whether Keras counts it as trainable.
struct WeightSpec {
  std::string name;
  Shape shape;
  bool trainable = true;
};

using program::ValueId;
struct OperationCall;

// What a layer's definition sees of one call, and how it answers. A definition reads its
// configuration, declares its weights in storage order, appends ops, and sets its outputs; that one
// function gives the layer's expected weights, output shapes, masks and code. While a model is
// being read it runs with placeholders for weights; when a cut is lowered, with their values.
class LayerCall {
 public:
  virtual ~LayerCall() = default;

  virtual const graph::Layer& layer() const = 0;
  // Typed access to the layer's configuration; errors name the layer and the field.
  virtual const Config& config() const = 0;
  virtual program::ProgramBuilder& ops() = 0;

  // The tensors of the first call argument, flattened (one for most layers, several for merges).
  virtual std::size_t input_count() const = 0;
  virtual ValueId input(std::size_t i = 0) = 0;
  // The mask of input i: the call's explicit `mask` argument, else the one that travels with it.
  virtual std::optional<ValueId> mask(std::size_t i = 0) = 0;
  // True if mask(i) exists, without making the call depend on it.
  virtual bool has_mask(std::size_t i = 0) const = 0;
  // Tensors given under a keyword ("initial_state"), or at a position among the arguments (0 is the
  // first), flattened: indices for argument_tensor(). Empty if absent.
  static constexpr std::size_t kKeyword = ~std::size_t{0};
  virtual std::vector<std::size_t> argument(std::string_view name,
                                            std::size_t position = kKeyword) const = 0;
  std::vector<ValueId> keyword_tensors(std::string_view name) {
    std::vector<ValueId> values;
    for (const std::size_t i : argument(name)) values.push_back(argument_tensor(i));
    return values;
  }
  // The call's arguments as written (graph::Call::arguments), for operations and options.
  virtual const boost::json::object& arguments() const = 0;
  // Tensor i of graph::Call::inputs, as {"tensor": i} in arguments() refers to it.
  virtual ValueId argument_tensor(std::size_t i) = 0;
  // The mask that travels beside it.
  virtual std::optional<ValueId> argument_mask(std::size_t i) = 0;

  // Declares a weight and returns it; the same name is the same weight. Weights are float32 values
  // here, whatever the file stored.
  virtual ValueId weight(std::string name, const Shape& shape, bool trainable = true) = 0;
  // A float32 vector or tensor of `shape` computed from weights of this call by `make`, once per
  // model; `name` tells it from others of the layer.
  using Derivation = std::function<Tensor(std::span<const Tensor> weights, double parameter)>;
  virtual ValueId derived(std::string_view name, std::vector<ValueId> weights, const Shape& shape,
                          const Derivation& make, double parameter) = 0;
  // A constant of this type that `make` computes from the configuration, once per model; `name`
  // tells it from others of the layer. `type` may leave dimensions open.
  virtual ValueId made(std::string_view name, const program::ValueType& type,
                       const std::function<Tensor()>& make) = 0;
  // Declares something the layer is made of that could have weights (graph::Part); again is no
  // error.
  virtual void part(std::string path, std::string name) = 0;

  // Sets the next output. `mask`: none, a new bool value, or "the mask of input i travels on"
  // (pass_mask), which does not make this call depend on the mask.
  virtual void output(ValueId value, std::optional<ValueId> mask = {}) = 0;
  virtual void output_passing_mask(ValueId value, std::size_t from_input = 0) = 0;

  // Tells of a keras.ops operation inside the layer, for who wants to know what it is made of (see
  // trace()). `tensors` are what {"tensor": i} in its arguments refers to.
  virtual void operated(const OperationCall& /*operation*/, std::span<const ValueId> /*tensors*/,
                        std::span<const ValueId> /*results*/) {}

  // A float32 scalar constant.
  ValueId scalar(float value) {
    return ops().constant(Tensor::floats(Shape{}, std::span(&value, 1)));
  }
  ValueId activated(ValueId value, const program::Activation& activation) {
    return activation.identity() ? value : ops().append(program::Unary{activation}, {value});
  }

  // Input i as float32, which is what Keras makes of integers that meet weights.
  ValueId float_input(std::size_t i = 0) { return to_float(input(i)); }
  ValueId to_float(ValueId x) {
    return type(x).dtype == DType::kFloat32 ? x : ops().append(program::Cast{DType::kFloat32}, {x});
  }

  const program::ValueType& type(ValueId id) { return ops().type(id); }
  const Shape& shape(ValueId id) { return ops().type(id).shape; }
};

// Values of an option that a definition refuses, though they make sense to Keras.
struct Refusal {
  std::string_view option;
  std::string_view values;
};

struct LayerDefinition {
  std::string class_name;
  bool operation = false;  // a keras.ops class ("NotEqual"), not a layer class
  std::function<void(LayerCall&)> lower;
  // For docs/support.md; a test holds `refuses` to what the source passes to unsupported().
  std::vector<Refusal> refuses = {};
  std::string_view note = {};
  std::string alias_of = {};                     // the name that Keras itself writes for this class
  std::vector<std::string_view> arguments = {};  // of an operation: those of its call, then options
  std::size_t parameters = 0;                    // how many of them are those of its call
};

// The classes kerf knows. Built once, on first use, from the files in layers/keras/ and layers/ops/
// (each defines one register function, which the build lists); read-only after that.
class Registry {
 public:
  static const Registry& instance();

  void add(LayerDefinition definition);
  void add_alias(std::string alias, std::string_view class_name);
  // nullptr if unknown.
  const LayerDefinition* find(std::string_view class_name, bool operation) const;
  // By class name.
  std::vector<const LayerDefinition*> definitions(bool operations) const;

 private:
  std::map<std::pair<std::string, bool>, LayerDefinition, std::less<>> definitions_;
};

}  // namespace kerf::layers
