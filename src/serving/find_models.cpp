#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>

#include "kerf/error.h"
#include "serving/repository.h"

namespace kerf::serving {
namespace {

namespace fs = std::filesystem;

bool is_model_file(const fs::path& path) {
  const std::string extension = path.extension().string();
  return fs::is_regular_file(path) &&
         (extension == ".keras" || extension == ".h5" || extension == ".hdf5");
}

// A model of TensorFlow.js. Beside an HDF5 file a model.json is its configuration once more.
bool is_tfjs_folder(const fs::path& path) {
  return fs::is_regular_file(path / "model.json") &&
         std::none_of(fs::directory_iterator(path), fs::directory_iterator(),
                      [](const fs::directory_entry& entry) { return is_model_file(entry.path()); });
}

// An unzipped .keras file, a SavedModel, or a model of TensorFlow.js.
bool is_model_folder(const fs::path& path) {
  return fs::is_directory(path) &&
         (fs::exists(path / "saved_model.pb") ||
          (fs::exists(path / "config.json") && fs::exists(path / "model.weights.h5")) ||
          is_tfjs_folder(path));
}

bool is_version(const fs::path& path) {
  const std::string name = path.filename().string();
  return fs::is_directory(path) && name.size() <= 18 &&
         std::ranges::all_of(name, [](unsigned char c) { return std::isdigit(c) != 0; });
}

// "models/" is called "models"; "." as the folder it stands for.
std::string folder_name(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with('.')) entries.push_back(entry.path());
  }
  std::ranges::sort(entries);
  return entries;
}

// The one model in a version folder.
fs::path only_model(const fs::path& folder) {
  if (is_model_folder(folder)) return folder;
  std::vector<fs::path> found;
  for (const fs::path& entry : entries_of(folder)) {
    if (is_model_file(entry) || is_model_folder(entry)) found.push_back(entry);
  }
  if (found.size() != 1) {
    throw Error(found.empty() ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                fmt::format("a version folder holds one model, but there are {}", found.size()),
                folder.string());
  }
  return found.front();
}

// The model that `path` is, or its versions; nothing if it is neither.
std::vector<ModelFile> models_at(const fs::path& path) {
  if (is_model_file(path)) return {{.name = path.stem().string(), .path = path}};
  if (is_model_folder(path)) return {{.name = folder_name(path), .path = path}};
  std::vector<ModelFile> versions;
  if (fs::is_directory(path)) {
    for (const fs::path& entry : entries_of(path)) {
      if (!is_version(entry)) continue;
      std::string version = entry.filename().string();
      version.erase(0, std::min(version.find_first_not_of('0'), version.size() - 1));
      versions.push_back(
          {.name = folder_name(path), .version = std::move(version), .path = only_model(entry)});
    }
  }
  return versions;
}

std::vector<ModelFile> models_below(const fs::path& path) {
  std::vector<ModelFile> models = models_at(path);
  if (models.empty() && fs::is_directory(path)) {
    for (const fs::path& entry : entries_of(path)) {
      for (ModelFile& model : models_at(entry)) models.push_back(std::move(model));
    }
  }
  return models;
}

}  // namespace

std::vector<ModelFile> find_models(std::span<const std::string> paths) {
  std::vector<ModelFile> all;
  for (const std::string& argument : paths) {
    std::string text = argument;
    std::string name;
    const std::size_t equals = argument.find('=');
    if (equals != std::string::npos && !fs::exists(argument)) {
      name = argument.substr(0, equals);
      text = argument.substr(equals + 1);
    }
    if (!fs::exists(text)) throw Error(ErrorCode::kNotFound, "there is no such file", text);
    std::vector<ModelFile> found = models_below(text);
    if (found.empty() && fs::path(text).filename() == "model.json") {
      found.push_back({.name = folder_name(fs::absolute(text).parent_path()), .path = text});
    }
    if (found.empty()) {
      throw Error(ErrorCode::kNotFound,
                  fs::is_directory(text)
                      ? "there is no model in this folder: no .keras, .h5 or .hdf5 file, no "
                        "unzipped .keras file, no model.json, and no folder of version folders"
                      : "a model file is called .keras, .h5, .hdf5 or model.json",
                  text);
    }
    if (!name.empty()) {
      for (ModelFile& model : found) {
        if (model.name != found.front().name) {
          throw Error(ErrorCode::kInvalidArgument,
                      fmt::format("'{}' cannot name all of the models in this folder ({}, {}, ...)",
                                  name, found.front().name, model.name),
                      text);
        }
      }
      for (ModelFile& model : found) model.name = name;
    }
    all.insert(all.end(), found.begin(), found.end());
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (all[i].name == all[j].name && all[i].version == all[j].version) {
        throw Error(
            ErrorCode::kInvalidArgument,
            fmt::format("two models are called '{}': {} and {}. Give one another name: NAME={}",
                        all[i].name, all[j].path.string(), all[i].path.string(),
                        all[i].path.string()));
      }
    }
  }
  return all;
}

}  // namespace kerf::serving
