#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "serving/limits.h"
#include "serving/served_model.h"

namespace kerf::serving {

// A model file to serve, and as what.
struct ModelFile {
  std::string name;
  std::string version = "1";
  std::filesystem::path path;
};

// The models below these paths. A path is
//   a model file, or the folder of an unzipped `.keras` file: one model, called as the file without
//     its extension (or as the folder);
//   a folder of version folders (`NAME/1/model.keras`): one model, called as the folder;
//   a folder of any of these: all of them.
// "NAME=PATH" gives a model, or the only model below a folder, another name. Throws
// Error(kNotFound) for a path that does not exist or holds no model, Error(kInvalidArgument) for
// two models of one name and version.
std::vector<ModelFile> find_models(std::span<const std::string> paths);

struct LoadSettings {
  Limits limits;
  unsigned threads = 0;  // files read at once; 0 = one per core
  // Called as files are done, one call at a time: the model, and the seconds it took.
  std::function<void(const ServedModel&, double)> loaded;
  // The share of all that is done, 0 to 1. May be called from several threads, one at a time.
  std::function<void(double)> progress;
};

// The models a server serves, by name and version. Immutable once loaded, hence shared by all
// threads.
class Repository {
 public:
  // Loads every file, several at once, and compiles what a plain call of one sample needs. Throws
  // one Error naming every file that cannot be served, and why.
  static std::shared_ptr<const Repository> load(std::span<const ModelFile> files,
                                                const LoadSettings& settings = {});

  // A version of a model, or with an empty `version` its highest; null if there is none.
  const ServedModel* find(std::string_view name, std::string_view version = {}) const noexcept;

  // Versions, lowest first.
  using Versions = std::vector<std::unique_ptr<const ServedModel>>;
  const std::map<std::string, Versions, std::less<>>& models() const noexcept { return models_; }

 private:
  std::map<std::string, Versions, std::less<>> models_;
};

}  // namespace kerf::serving
