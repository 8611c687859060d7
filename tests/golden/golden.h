#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "kerf/tensor.h"

namespace kerf::golden {

// A tensor whose value real Keras computed.
struct Truth {
  std::string key;   // in the .npz
  std::string path;  // of a layer: "dense", "inner/layer", "shared:1"
  std::string class_name;
  std::string dtype;      // in Keras
  std::size_t index = 0;  // of a layer with several outputs
};

// One model with its inputs and what Keras makes of them: NAME.keras, NAME.h5, NAME.npz, NAME.json.
struct Golden {
  std::string name;
  std::filesystem::path folder;
  std::vector<Truth> inputs;
  std::vector<Truth> outputs;
  std::vector<Truth> layers;
  std::map<std::string, Tensor> arrays;

  const Tensor& array(const Truth& truth) const { return arrays.at(truth.key); }
};

// The folders of golden models: the one in the repository, and the complete set beside it where
// that is there.
std::vector<std::filesystem::path> folders();
std::vector<std::string> names(const std::filesystem::path& folder);
Golden read(const std::filesystem::path& folder, const std::string& name);

// The tensor that a path of the golden set means ("inner/p:1": the second call of inner/p).
graph::TensorId tensor_of(const graph::Graph& graph, const Truth& truth);

// How far two tensors are apart, relative to the largest magnitude expected. Infinite where shapes
// differ, or where one is not finite and the other is not the same.
double distance(const Tensor& actual, const Tensor& expected);
// What an honest float32 implementation may differ by from a layer of this Keras dtype.
double tolerance(const std::string& dtype);

}  // namespace kerf::golden
