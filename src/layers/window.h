#pragma once

#include "layers/registry.h"

namespace kerf::layers {

// The spatial rank stands in the class name: Conv2D, MaxPooling1D.
std::size_t spatial_rank_of(const LayerCall& call);

// A layer's window over that many axes: of "kernel_size" or "pool_size", with strides, dilation and
// padding.
program::Window window_of(LayerCall& call, std::size_t rank, std::string_view size_key,
                          std::int64_t default_size);

}  // namespace kerf::layers
