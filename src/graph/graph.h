#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/tensor.h"
#include "tensor/constant.h"

namespace kerf::layers {
class UserDefinitions;
}

namespace kerf::graph {

using LayerId = std::uint32_t;
using CallId = std::uint32_t;
using TensorId = std::uint32_t;
using ScopeId = std::uint32_t;
inline constexpr std::uint32_t kNone = 0xffffffffU;

// A named weight of a layer, as stored (kernel, bias, cell/recurrent_kernel, ...).
struct Weight {
  std::string name;  // path below the layer: "kernel", "cell/bias"
  Constant value;
  bool trainable = true;
};

// Something that a layer is made of and that has weights of its own, or could: a group of its own
// in a `.keras` file.
struct Part {
  std::string path;  // below the layer: "cell", "forward_layer/cell"
  std::string name;  // Keras' for it: "lstm_cell"
};

// A layer object of the model: what was configured and trained, independent of where it is called.
// `operation` marks a keras.ops node, whose class names overlap those of layers.
struct Layer {
  std::string path;  // "dense_1"; inside nested models "encoder/conv2d"
  std::string class_name;
  bool operation = false;
  boost::json::object config;  // normalised to the Keras 3 dialect
  int keras_major = 3;         // of the file: some functions changed their meaning
  int keras_minor = 0;
  // What Keras 3 says of the class besides (module, registered_name, build_config), where the file
  // says it: for writing the layer again.
  boost::json::object identity;
  std::vector<Weight> weights;  // in storage order
  std::vector<Part> parts;
  // What the user said of classes and functions that are not Keras'; null if nothing. Only layers/
  // looks into it.
  std::shared_ptr<const layers::UserDefinitions> extensions = {};

  // The last component of `path`.
  std::string_view name() const noexcept;
  std::int64_t parameter_count() const noexcept;
};

// One use of a layer. `arguments` is {"args": [...], "kwargs": {...}} in which a tensor stands as
// {"tensor": i}, an index into `inputs`, and everything else is a literal. A mask that travels
// beside inputs[i] and that the call reads without being given it stands in implicit_masks[i].
struct Call {
  LayerId layer = 0;
  std::uint32_t index = 0;  // among the calls of this layer inside one call of its model
  ScopeId scope = kNone;    // the nested model's call it belongs to
  boost::json::object arguments;
  std::vector<TensorId> inputs;
  std::vector<TensorId> implicit_masks;  // parallel to `inputs`; kNone where not read
  // Parallel to them: read for no more than the masks of the outputs.
  std::vector<bool> only_for_masks;
  std::vector<TensorId> outputs;  // the layer's outputs, flattened
  std::vector<TensorId> masks;    // per output: the mask that travels beside it, or kNone. Either a
                                  // tensor this call creates or one that existed before it.
  double flops = 0;               // per sample, multiply-add = 2; unknown dimensions counted as 1
};

// A model's input or output under the name clients use.
struct Port {
  std::string name;
  TensorId tensor = 0;
};

// One use of a nested model. Its inner calls stand flattened in Graph::calls(); what is kept here
// makes its inputs and outputs addressable.
struct Scope {
  std::string name;  // the nested model's own name: "encoder"
  std::uint32_t index = 0;
  ScopeId parent = kNone;
  std::vector<Port> inputs;  // the nested model's own inputs, by their names inside it
  std::vector<TensorId> outputs;
  std::vector<TensorId> masks;
};

struct GraphTensor {
  Shape shape;  // with Shape::kUnknown for what is known only per request
  // What clients feed and fetch. Of floats narrower or wider than float32, which is computed in,
  // the tensor is rounded to this, also where the model itself goes on with it.
  DType dtype = DType::kFloat32;
  CallId producer = kNone;  // kNone for model inputs
  std::uint32_t index = 0;  // which output of the producer
  bool mask = false;        // a mask that travels beside output `index` of its producer
};

class AddressIndex;

// A trained model: layers, the calls that connect them, the tensors between. Immutable once built
// (GraphBuilder), hence shared by any number of threads without a lock. Calls stand in an order in
// which each comes after the producers of its inputs. Nested models are flattened: their layers
// carry paths, their calls carry scopes.
class Graph {
 public:
  const std::string& name() const noexcept { return name_; }
  std::span<const Layer> layers() const noexcept { return layers_; }
  std::span<const Call> calls() const noexcept { return calls_; }
  std::span<const Scope> scopes() const noexcept { return scopes_; }
  std::span<const GraphTensor> tensors() const noexcept { return tensors_; }
  std::span<const Port> inputs() const noexcept { return inputs_; }
  std::span<const Port> outputs() const noexcept { return outputs_; }

  const Layer& layer(LayerId id) const noexcept { return layers_[id]; }
  const Call& call(CallId id) const noexcept { return calls_[id]; }
  const GraphTensor& tensor(TensorId id) const noexcept { return tensors_[id]; }
  const Layer& layer_of(const Call& call) const noexcept { return layers_[call.layer]; }
  // The names of the tensors (address.h); there once the graph is built.
  const AddressIndex& addresses() const noexcept { return *addresses_; }

 private:
  friend class GraphBuilder;
  std::string name_;
  std::vector<Layer> layers_;
  std::vector<Call> calls_;
  std::vector<Scope> scopes_;
  std::vector<GraphTensor> tensors_;
  std::vector<Port> inputs_;
  std::vector<Port> outputs_;
  std::shared_ptr<const AddressIndex> addresses_;
};

// Collects a Graph call by call, in topological order. Used by one thread; build() ends its use.
class GraphBuilder {
 public:
  explicit GraphBuilder(std::string name);

  TensorId add_input(std::string name, const Shape& shape, DType dtype);
  LayerId add_layer(Layer layer);
  Layer& layer(LayerId id) noexcept { return graph_.layers_[id]; }
  // Adds the call and one tensor per entry of `outputs`; per output, `mask_shapes[i]` set means the
  // call creates a bool mask of that shape, else `masks[i]` (kNone or an existing tensor) travels.
  struct Output {
    Shape shape;
    DType dtype = DType::kFloat32;
    std::optional<Shape> new_mask;
    TensorId mask = kNone;
  };
  CallId add_call(LayerId layer, std::uint32_t index, ScopeId scope, boost::json::object arguments,
                  std::vector<TensorId> inputs, std::vector<TensorId> implicit_masks,
                  std::vector<bool> only_for_masks, std::span<const Output> outputs, double flops);
  ScopeId add_scope(std::string name, std::uint32_t index, ScopeId parent,
                    std::vector<Port> inputs);
  void set_scope_outputs(ScopeId scope, std::vector<TensorId> outputs, std::vector<TensorId> masks);
  void add_output(std::string name, TensorId tensor);
  // Of a tensor of floats; see GraphTensor::dtype.
  void set_dtype(TensorId tensor, DType dtype) { graph_.tensors_[tensor].dtype = dtype; }

  // The graph under construction, to look up what was added.
  const Graph& peek() const noexcept { return graph_; }
  std::shared_ptr<const Graph> build();

 private:
  Graph graph_;
};

}  // namespace kerf::graph
