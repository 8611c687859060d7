#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "formats/graph_reader.h"
#include "kerf/error.h"
#include "kerf/extensions.h"
#include "kerf/tensor.h"

namespace kerf::layers {

using Floats = std::vector<float>;

// One layer in a model of its own, called "layer".
struct LayerCase {
  std::string class_name;
  std::string config = "{}";  // JSON
  std::vector<Tensor> inputs;
  std::map<std::string, Floats> weights = {};  // by name: "kernel", "cell/bias"
  formats::KerasVersion version = {3, 16};
  // Steps of an input where every channel is this value are masked, and read as zero.
  std::optional<float> masked_value = {};
  std::vector<bool> masked = {};  // which inputs; empty: all
  // The call's arguments as Keras 3 writes them, "$0" for the first tensor; empty: all inputs in
  // the first argument.
  std::string arguments = {};
  std::string module = "keras.layers";  // of an operation: "keras.src.ops.numpy"
  Extensions extensions = {};
};

struct LayerResult {
  std::vector<Tensor> outputs;
  std::vector<std::optional<Tensor>> masks;  // that travel beside the outputs
};

// Reads the layer from its configuration and runs it. Throws what a model with it would throw.
LayerResult run_layer(const LayerCase& layer);
// The error that running it gives.
Error refusal_of(const LayerCase& layer);

inline Tensor floats(const Shape& shape, const Floats& values) {
  return Tensor::floats(shape, values);
}
Tensor ints(const Shape& shape, const std::vector<std::int32_t>& values);
// start, start + step, ...
Floats ramp(std::size_t count, float start, float step);

// Equal shapes, and values within 1e-5 of the largest magnitude expected.
void expect_tensor(const Tensor& actual, const Shape& shape, std::span<const float> values);
void expect_mask(const std::optional<Tensor>& mask, const Shape& shape,
                 const std::vector<bool>& values);

}  // namespace kerf::layers
