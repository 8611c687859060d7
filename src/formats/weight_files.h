#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "formats/file_buffer.h"
#include "formats/graph_reader.h"
#include "formats/hdf5_file.h"
#include "formats/tensor_bundle.h"
#include "formats/weight_store.h"

// Weights that stand apart from their model's configuration.
namespace kerf::formats {

// The weights that save_weights() wrote: HDF5 in the layout of either generation, or of a whole
// model; the index of a sharded file; a checkpoint of tf.keras (its .index). Used by one thread.
class WeightFile {
 public:
  // Opens it. Throws Error(kNotFound | kInvalidFile | kUnsupported).
  WeightFile(const std::filesystem::path& path, const std::function<void(double)>& progress);

  // Reads the weights of every layer of the skeleton; see weights.h for this and `keras1`. What was
  // read and is not needed is given back; ends the use of this file.
  void read(const ModelSpec& model, bool keras1, Skeleton& skeleton, Problems& problems);

 private:
  std::shared_ptr<FileBuffer> take(const std::filesystem::path& path);

  std::function<void(double)> progress_;
  std::vector<std::shared_ptr<FileBuffer>> buffers_;
  std::unique_ptr<Hdf5File> hdf5_;
  std::unique_ptr<ShardedWeights> shards_;
  std::unique_ptr<TensorBundle> checkpoint_;
};

// Whether the file holds HDF5, also behind a block of the user's own.
bool is_hdf5(const InputFile& file);

// The file in the folder of a configuration that its weights stand in, by its name or because it
// is the only one of its kind; and the other way round. Nothing if there is none.
std::optional<std::filesystem::path> weights_beside(const std::filesystem::path& config);
std::optional<std::filesystem::path> config_beside(const std::filesystem::path& weights);

}  // namespace kerf::formats
