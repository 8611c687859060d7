#pragma once

#include <string>

#include "formats/graph_reader.h"
#include "formats/hdf5_file.h"

namespace kerf::formats {

// Reads `dataset` as the next weight of the layer at `path`. Throws Error(kInvalidFile) naming both
// if it is missing or its shape is not what the layer needs.
void read_weight(const Hdf5File& file, const std::string& path, const layers::WeightSpec& spec,
                 const std::string& dataset, graph::Layer& layer);

// An error of the weights of the layer at `path`.
[[noreturn]] void wrong_weights(const Hdf5File& file, const std::string& path, std::string message);

}  // namespace kerf::formats
