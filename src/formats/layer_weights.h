#pragma once

#include <string>

#include "formats/graph_reader.h"
#include "formats/weight_store.h"

namespace kerf::formats {

// Reads `dataset` as the next weight of the layer at `path`. Throws Error(kInvalidFile) naming both
// if it is missing or its shape is not what the layer needs.
void read_weight(const WeightStore& file, const std::string& path, const layers::WeightSpec& spec,
                 const std::string& dataset, graph::Layer& layer);

// The two steps of that: the dataset as it stands, and a value as the next weight of a layer.
Tensor stored_weight(const WeightStore& file, const std::string& path,
                     const layers::WeightSpec& spec, const std::string& dataset);
void add_weight(const std::string& where, const std::string& path, const layers::WeightSpec& spec,
                Tensor value, graph::Layer& layer);

// An error of the weights of the layer at `path`; `where` names the file.
[[noreturn]] void wrong_weights(const std::string& where, const std::string& path,
                                std::string message);

}  // namespace kerf::formats
