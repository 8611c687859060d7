#pragma once

#include <optional>
#include <string_view>

#include "layers/registry.h"

namespace kerf::layers {

// The element-wise function that a configuration field names: a string ("relu"), a function
// reference, a layer object (LeakyReLU), or nothing (identity). Empty for activations that look at
// more than one element (softmax, glu, ...) or hold weights. Throws Error(kUnsupported) for unknown
// ones.
std::optional<program::Activation> elementwise_activation(LayerCall& call, std::string_view field,
                                                          std::string_view fallback);

// The same of another configuration than the call's: a cell's, of a file of this Keras version.
std::optional<program::Activation> elementwise_activation(const Config& config, int keras_major,
                                                          std::string_view field,
                                                          std::string_view fallback);

// Applies any activation named by the field to `x`.
ValueId apply_activation(LayerCall& call, ValueId x, std::string_view field,
                         std::string_view fallback = "linear");

// The functions of the layers ReLU, LeakyReLU and ELU, from a configuration of theirs.
std::optional<program::Activation> layer_activation(const Config& config,
                                                    std::string_view class_name);

// Softmax over one or several axes, with masked positions excluded.
ValueId softmax(LayerCall& call, ValueId x, const Config& config, std::optional<ValueId> mask);

// PReLU with alpha stored at `weight_name`.
ValueId parametric_relu(LayerCall& call, ValueId x, const Config& config, std::string weight_name);

}  // namespace kerf::layers
