#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace kerf::formats {

// One call of a layer of a Functional model, by the numbers of the layer and of the calls that make
// its inputs.
struct LayerNode {
  std::size_t layer = 0;
  std::vector<std::size_t> parents;
};

// The numbers of `layers` layers in the order in which Keras lists, and so counts, them when it has
// read the model: those farthest from the outputs first, and among equals the one first met on the
// way back from the outputs, each of which is a node. Weights in a file are found by these counts.
std::vector<std::size_t> keras_layer_order(std::size_t layers, std::span<const LayerNode> nodes,
                                           std::span<const std::size_t> outputs);

}  // namespace kerf::formats
