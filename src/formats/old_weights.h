#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/hdf5_file.h"
#include "graph/graph.h"
#include "layers/registry.h"

// How older versions of Keras stored weights, and what makes today's of them.
namespace kerf::formats {

// What is special about all weights of one file below the group `root`. Keras 1 did not say on
// which backend it ran, but Theano's variables have names without the ":0" of TensorFlow's.
struct OldStorage {
  bool keras1 = false;
  bool mirrored = false;  // Theano's convolutions turn their kernels round
};
// `keras1`: whether the configuration is of Keras 1, for files that give no version.
OldStorage old_storage(const Hdf5File& file, const std::string& root, bool keras1);

// A weight that a layer of the graph expects.
struct ExpectedWeight {
  graph::LayerId id = 0;
  std::string path;  // of the layer
  const layers::WeightSpec* spec = nullptr;
  bool trainable = true;
};

// The datasets that each weight consists of, where Keras 1 stored kernel, recurrent kernel and bias
// of LSTM and GRU cells apart for each gate: `names` in the order of `order`, which are indices
// into `expected`. The gates come in today's order. Nothing if the numbers do not fit.
std::optional<std::vector<std::vector<std::string>>> names_of_gates(
    const std::vector<std::string>& names, std::span<const ExpectedWeight> expected,
    std::span<const std::size_t> order);

// One weight of `layer` out of its stored parts. What does not look as it should is left for the
// check of its shape.
Tensor modern_weight(std::vector<Tensor> parts, const layers::WeightSpec& spec,
                     const graph::Layer& layer, OldStorage storage);

// Rewrites the weights of each cell that cuDNN's layers stored in their own way, which their longer
// bias tells: `values` stand for `expected`, empty where one could not be read.
void convert_cudnn(std::span<const ExpectedWeight> expected, std::span<Tensor> values);

}  // namespace kerf::formats
