#pragma once

#include "formats/graph_reader.h"
#include "formats/hdf5_file.h"

namespace kerf::formats {

// Read the weights of every layer of the skeleton, from the layout of Keras 3 (one group a layer,
// below "layers") or of whole-model HDF5 files (lists of names below `root`). Every weight that is
// missing or of the wrong shape is added to `problems` by layer and name. `keras1`: see
// old_storage().
void read_keras3_weights(const WeightStore& file, const ModelSpec& model, Skeleton& skeleton,
                         Problems& problems);
void read_legacy_weights(const Hdf5File& file, const std::string& root, const ModelSpec& model,
                         bool keras1, Skeleton& skeleton, Problems& problems);

}  // namespace kerf::formats
