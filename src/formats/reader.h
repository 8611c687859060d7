#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace kerf::formats {

struct ReadOptions {
  std::function<void(double)> progress;  // share of the file done, from the calling thread
  std::shared_ptr<const layers::UserDefinitions> extensions =
      {};                         // null: every class has to be Keras'
  std::filesystem::path weights;  // of a configuration in JSON; empty: found beside it
};

// Reads a model of any supported format, recognised by its content, not its name: `.keras` zip, the
// same unzipped, whole-model HDF5, the folder of a tf.keras SavedModel, a layers model of
// TensorFlow.js (its JSON or the folder of it), a configuration in JSON and a file of weights (one
// of the two, or the folder of both). Any thread may call. The result has every weight.
// The file is read into memory, never mapped: it may be overwritten later. Throws
// Error(kInvalidFile | kUnsupported | kNotFound) with the file, and where known the layer and
// field, in where(); of several problems all are listed.
std::shared_ptr<const graph::Graph> read_model(const std::filesystem::path& file,
                                               const ReadOptions& options = {});

// Why read_model() would refuse this file: every reason that can be found, a message each.
std::vector<std::string> problems(const std::filesystem::path& file,
                                  const ReadOptions& options = {});

}  // namespace kerf::formats
