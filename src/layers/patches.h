#pragma once

#include "layers/registry.h"

namespace kerf::layers {

// What each place of a window sees of x (n, spatial..., c), side by side: (n, spatial'...,
// window...
// * c), the channel running fastest. One copy, whatever the window. Throws Error(kUnsupported) at
// `key` for windows of very many cells.
ValueId patches(LayerCall& call, ValueId x, const program::Window& window, std::string_view key);

}  // namespace kerf::layers
