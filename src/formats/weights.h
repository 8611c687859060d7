#pragma once

#include "formats/graph_reader.h"
#include "formats/hdf5_file.h"

namespace kerf::formats {

// Read the weights of every layer of the skeleton, from the layout of Keras 3 (one group a layer,
// below "layers") or of whole-model HDF5 files (lists of names below `root`). Throw
// Error(kInvalidFile) naming the layer and the weight.
void read_keras3_weights(const Hdf5File& file, const ModelSpec& model, Skeleton& skeleton);
void read_legacy_weights(const Hdf5File& file, const std::string& root, const ModelSpec& model,
                         Skeleton& skeleton);

}  // namespace kerf::formats
