#include "serving/find_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <utility>

#include "kerf/error.h"
#include "serving/snapshot.h"
#include "serving/triton_config.h"

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
          (fs::exists(path / "config.json") &&
           (fs::exists(path / "model.weights.h5") || fs::exists(path / "model.weights.json"))) ||
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
      versions.push_back({.name = folder_name(path), .version = std::move(version), .path = entry});
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
  if (models.empty() && path.filename() == "model.json" && fs::is_regular_file(path)) {
    models.push_back({.name = folder_name(fs::absolute(path).parent_path()), .path = path});
  }
  return models;
}

std::vector<ModelFile> models_of(const ModelSpec& spec) {
  if (!fs::exists(spec.path)) {
    throw Error(ErrorCode::kNotFound, "there is no such file", spec.path.string());
  }
  std::vector<ModelFile> found = models_below(spec.path);
  if (found.empty()) {
    throw Error(ErrorCode::kNotFound,
                fs::is_directory(spec.path)
                    ? "there is no model in this folder: no .keras, .h5 or .hdf5 file, no "
                      "unzipped .keras file, no model.json, and no folder of version folders"
                    : "a model file is called .keras, .h5, .hdf5 or model.json",
                spec.path.string());
  }
  if (spec.name.empty()) return found;
  for (const ModelFile& model : found) {
    if (model.name != found.front().name) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' cannot name all of the models in this folder ({}, {}, ...)",
                              spec.name, found.front().name, model.name),
                  spec.path.string());
    }
  }
  for (ModelFile& model : found) model.name = spec.name;
  return found;
}

Error same_name(const ModelFile& first, const ModelFile& second) {
  return {ErrorCode::kInvalidArgument,
          fmt::format("two models are called '{}': {} and {}. Give one another name: NAME={}",
                      first.name, first.path.string(), second.path.string(), second.path.string())};
}

// Those that the policy says, lowest first. Adds to `problems` what it asks for in vain.
void choose(std::vector<ModelFile>& versions, const VersionPolicy& policy,
            std::vector<std::string>& problems) {
  std::ranges::sort(versions, lower_version, &ModelFile::version);
  if (policy.kind == VersionPolicy::Kind::kLatest && versions.size() > policy.count) {
    versions.erase(versions.begin(), versions.end() - static_cast<std::ptrdiff_t>(policy.count));
  }
  if (policy.kind != VersionPolicy::Kind::kSpecific) return;
  for (const std::string& wanted : policy.versions) {
    if (std::ranges::find(versions, wanted, &ModelFile::version) == versions.end()) {
      problems.push_back(fmt::format("{}: there is no version {}", versions.front().name, wanted));
    }
  }
  std::erase_if(versions, [&](const ModelFile& file) {
    return std::ranges::find(policy.versions, file.version) == policy.versions.end();
  });
}

// What the `config.pbtxt` of a model says, for what its spec leaves open.
void read_config(const fs::path& folder, FoundModel& model) {
  const fs::path file = folder / "config.pbtxt";
  if (!fs::is_regular_file(file)) return;
  const TritonConfig config = read_triton_config(file);
  if (!model.options.versions) model.options.versions = config.versions;
  if (!config.name.empty() && config.name != folder_name(folder)) {
    model.notes.push_back(fmt::format("{} names the model '{}', but it is called as its folder",
                                      file.string(), config.name));
  }
  if (!config.ignored.empty()) {
    model.notes.push_back(fmt::format("{}: not used, for the model itself says it: {}",
                                      file.string(), fmt::join(config.ignored, ", ")));
  }
}

}  // namespace

ModelSpec parse_model_spec(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || fs::exists(text)) {
    return {.name = {}, .path = text, .options = {}};
  }
  return {.name = text.substr(0, equals), .path = text.substr(equals + 1), .options = {}};
}

fs::path model_in(const fs::path& path) {
  if (!fs::is_directory(path) || is_model_folder(path)) return path;
  std::vector<fs::path> found;
  for (const fs::path& entry : entries_of(path)) {
    if (is_model_file(entry) || is_model_folder(entry)) found.push_back(entry);
  }
  if (found.size() != 1) {
    throw Error(found.empty() ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                fmt::format("a version folder holds one model, but there are {}", found.size()),
                path.string());
  }
  return found.front();
}

std::vector<ModelFile> find_models(std::span<const std::string> paths) {
  std::vector<ModelFile> all;
  for (const std::string& text : paths) {
    for (ModelFile& file : models_of(parse_model_spec(text))) {
      file.path = model_in(file.path);
      for (const ModelFile& other : all) {
        if (other.name == file.name && other.version == file.version) throw same_name(other, file);
      }
      all.push_back(std::move(file));
    }
  }
  return all;
}

Scan scan_models(std::span<const ModelSpec> specs) {
  Scan scan;
  std::map<std::string, fs::path, std::less<>> places;  // of the models found so far
  for (const ModelSpec& spec : specs) {
    try {
      std::map<std::string, FoundModel> models;
      for (ModelFile& file : models_of(spec)) {
        FoundModel& model = models[file.name];
        model.files.push_back(std::move(file));
      }
      for (auto& [name, model] : models) {
        model.name = name;
        model.place = spec.path;
        model.options = spec.options;
        const fs::path& path = model.files.front().path;
        if (const auto other = places.find(name); other != places.end()) {
          throw same_name({.name = name, .path = other->second}, model.files.front());
        }
        places.emplace(name, path);
        try {
          if (is_version(path)) read_config(path.parent_path(), model);
        } catch (const std::exception& error) {
          scan.lost_models.insert(name);
          scan.problems.emplace_back(error.what());
          continue;
        }
        choose(model.files, model.options.versions.value_or(VersionPolicy{}), scan.problems);
        scan.models.push_back(std::move(model));
      }
    } catch (const std::exception& error) {  // also what the file system says
      scan.lost_paths.insert(spec.path);
      scan.problems.emplace_back(error.what());
    }
  }
  return scan;
}

}  // namespace kerf::serving
