#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "serving/model_spec.h"

namespace kerf::serving {

// Where models lie. A path is
//   a model file, or the folder of an unzipped `.keras` file, a SavedModel or a model.json: one
//     model, called as the file without its extension, or as the folder;
//   a folder of version folders (`NAME/1/model.keras`, `NAME/1/saved_model.pb`), as TensorFlow
//     Serving and Triton have them: one model, called as the folder. A `config.pbtxt` beside the
//     versions may say which of them are served;
//   a folder of any of these: all of them.

// "PATH", or "NAME=PATH" to give a model, or the only one below a folder, another name.
ModelSpec parse_model_spec(const std::string& text);

// All versions below these paths, whatever the policies say. Throws Error(kNotFound) for a path
// that does not exist or holds no model, Error(kInvalidArgument) for two models of one name and
// version, and for version folders that do not hold just one model.
std::vector<ModelFile> find_models(std::span<const std::string> paths);

// The model that `path` is or, for a version folder, holds. Throws as find_models() does.
std::filesystem::path model_in(const std::filesystem::path& path);

struct FoundModel {
  std::string name;
  std::filesystem::path place;  // the path of the spec that it was found by
  ModelOptions options;
  std::vector<ModelFile> files;    // the versions to serve, lowest first
  std::vector<std::string> notes;  // what somebody should know who reads the log
};

// What specs say is to be served now. Nothing is read but folders and `config.pbtxt` files.
struct Scan {
  std::vector<FoundModel> models;
  std::vector<std::string> problems;  // "path: what is wrong"
  // Paths of specs, and names of models, of which nothing can be said now, for the problems.
  std::set<std::filesystem::path> lost_paths;
  std::set<std::string, std::less<>> lost_models;
};
Scan scan_models(std::span<const ModelSpec> specs);

}  // namespace kerf::serving
