#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "serving/model_settings.h"

namespace kerf::serving {

// Which of the versions that lie in a model's folder are served.
struct VersionPolicy {
  enum class Kind { kLatest, kAll, kSpecific };
  Kind kind = Kind::kLatest;
  std::size_t count = 1;              // of the latest
  std::vector<std::string> versions;  // kSpecific

  bool operator==(const VersionPolicy&) const = default;
};

// How a model is served, whatever its version.
struct ModelOptions {
  std::optional<VersionPolicy> versions;  // nothing: as its folder says, else the latest
  std::map<std::string, std::string, std::less<>> labels;  // to versions
  bool load_at_start = true;                               // false: only when told to
  ModelSettings serving;

  bool operator==(const ModelOptions&) const = default;
};

// A place with models, and how they are served.
struct ModelSpec {
  std::string name;  // of the only model there; empty: models are called as their files and folders
  std::filesystem::path path;
  ModelOptions options;

  bool operator==(const ModelSpec&) const = default;
};

// One version of a model to serve.
struct ModelFile {
  std::string name;
  std::string version = "1";
  std::filesystem::path path;  // a model, or a version folder with one
};

}  // namespace kerf::serving
