#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/error.h"
#include "serving/served_model.h"

namespace kerf::serving {

enum class VersionState : std::uint8_t { kLoading, kReady, kUnloading, kUnavailable };
// The protocols' name: "LOADING", "READY", "UNLOADING", "UNAVAILABLE".
std::string_view state_name(VersionState state) noexcept;

// One version of a model, as far as it has come.
struct ModelVersion {
  std::string version;
  VersionState state = VersionState::kUnavailable;
  std::string reason;  // why it is not ready or, beside kReady, why it could not be read again
  std::shared_ptr<const ServedModel> model;  // null unless kReady

  bool operator==(const ModelVersion&) const = default;
};

struct ModelEntry {
  std::vector<ModelVersion> versions;                      // lowest first
  std::map<std::string, std::string, std::less<>> labels;  // to versions
  std::uint64_t loads = 0;          // of all versions, since the server knows the model
  std::uint64_t load_failures = 0;  // likewise

  bool operator==(const ModelEntry&) const = default;
};

// "9" before "10".
bool lower_version(std::string_view a, std::string_view b) noexcept;

// What a repository serves at one moment, by name and version. Immutable, hence shared by all
// threads; it keeps the models in it alive.
class Snapshot {
 public:
  using Models = std::map<std::string, ModelEntry, std::less<>>;

  Snapshot() = default;
  // Sorts the versions.
  explicit Snapshot(Models models);

  const Models& models() const noexcept { return models_; }
  bool operator==(const Snapshot&) const = default;
  // Null for a name that nobody knows.
  const ModelEntry* entry(std::string_view name) const noexcept;

  // A version that is ready, or with an empty `version` the highest that is; null if there is none.
  // The reference is good as long as the snapshot; a copy keeps the version alive by itself.
  const std::shared_ptr<const ServedModel>& find(std::string_view name,
                                                 std::string_view version = {}) const noexcept;
  // The version that has this label, likewise.
  const std::shared_ptr<const ServedModel>& find_label(std::string_view name,
                                                       std::string_view label) const noexcept;
  // Why find() gives null: kNotFound for a model or version that is not known, kUnavailable for one
  // that is not ready, with the reason.
  Error absence(std::string_view name, std::string_view version = {}) const;

 private:
  Models models_;
};

}  // namespace kerf::serving
