#pragma once

#include <filesystem>

#include "graph/cut.h"

namespace kerf::formats {

// Writes the cut as a `.keras` file that Keras 3 and kerf read: a Functional model whose inputs are
// the feeds and whose outputs are the fetches. Nested models are flattened: a layer "encoder/conv"
// becomes "encoder_conv". The file appears complete or not at all. Throws Error.
void write_keras(const graph::Cut& cut, const std::filesystem::path& file);

}  // namespace kerf::formats
