#pragma once

#include <boost/json/array.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace kerf::graph {

// Makes graphs of layers that compute nothing: enough for addresses, cuts and descriptions.
class GraphMaker {
 public:
  TensorId input(const std::string& name, const Shape& shape = {Shape::kUnknown, 4}) {
    return builder_.add_input(name, shape, DType::kFloat32);
  }
  LayerId layer(const std::string& path, const std::string& class_name = "Dense",
                boost::json::object config = {}) {
    return builder_.add_layer({.path = path,
                               .class_name = class_name,
                               .operation = false,
                               .config = std::move(config),
                               .weights = {}});
  }

  struct Options {
    std::size_t outputs = 1;
    std::uint32_t index = 0;
    ScopeId scope = kNone;
    bool new_mask = false;             // every output gets a mask of its own
    TensorId mask = kNone;             // or this one
    std::vector<TensorId> read_masks;  // parallel to the inputs
    Shape shape = {Shape::kUnknown, 4};
    double flops = 1;
    std::vector<bool> only_for_masks = {};  // parallel to read_masks; empty: none
  };
  // Adds a call and returns its outputs.
  std::vector<TensorId> call(LayerId layer, std::vector<TensorId> inputs, Options options) {
    std::vector<GraphBuilder::Output> outputs(options.outputs);
    for (GraphBuilder::Output& output : outputs) {
      output.shape = options.shape;
      output.mask = options.mask;
      if (options.new_mask) output.new_mask = Shape{Shape::kUnknown, 4};
    }
    if (options.read_masks.empty()) options.read_masks.assign(inputs.size(), kNone);
    boost::json::object arguments{{"args", boost::json::array{}},
                                  {"kwargs", boost::json::object{}}};
    const CallId id =
        builder_.add_call(layer, options.index, options.scope, std::move(arguments),
                          std::move(inputs), std::move(options.read_masks),
                          std::vector<bool>(options.only_for_masks), outputs, options.flops);
    return builder_.peek().call(id).outputs;
  }
  // A layer called once, with one output.
  TensorId add(const std::string& path, std::vector<TensorId> inputs) {
    return call(layer(path), std::move(inputs), {}).front();
  }
  TensorId add(const std::string& path, std::vector<TensorId> inputs, Options options) {
    return call(layer(path), std::move(inputs), std::move(options)).front();
  }
  TensorId mask_of(TensorId tensor) const {
    const GraphTensor& info = builder_.peek().tensor(tensor);
    return builder_.peek().call(info.producer).masks[info.index];
  }

  GraphBuilder& builder() { return builder_; }
  void output(const std::string& name, TensorId tensor) { builder_.add_output(name, tensor); }
  std::shared_ptr<const Graph> build() { return builder_.build(); }

 private:
  GraphBuilder builder_{"made"};
};

}  // namespace kerf::graph
