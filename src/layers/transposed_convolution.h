#pragma once

#include <span>

#include "layers/registry.h"

namespace kerf::layers {

// Sets where the result of a transposed convolution begins and ends, of its window and of
// "output_padding": the sizes that Keras' TensorFlow, JAX and NumPy backends give it.
void place_output(const Config& config, program::ConvTranspose& op);

// A kernel (window..., out, in), as Keras has it, as (window..., in, out).
Tensor swapped_channels(std::span<const Tensor> sources, double parameter);

// The channels of a channels-last tensor, which have to be known; others are refused.
std::int64_t known_channels(LayerCall& call, ValueId x);

}  // namespace kerf::layers
