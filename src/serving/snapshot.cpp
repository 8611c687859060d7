#include "serving/snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kerf::serving {
namespace {

const std::shared_ptr<const ServedModel> kNone;

}  // namespace

std::string_view state_name(VersionState state) noexcept {
  switch (state) {
    case VersionState::kLoading:
      return "LOADING";
    case VersionState::kReady:
      return "READY";
    case VersionState::kUnloading:
      return "UNLOADING";
    case VersionState::kUnavailable:
      break;
  }
  return "UNAVAILABLE";
}

bool lower_version(std::string_view a, std::string_view b) noexcept {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

Snapshot::Snapshot(Models models) : models_(std::move(models)) {
  for (auto& [name, entry] : models_) {
    std::ranges::sort(entry.versions, lower_version, &ModelVersion::version);
  }
}

const ModelEntry* Snapshot::entry(std::string_view name) const noexcept {
  const auto it = models_.find(name);
  return it == models_.end() ? nullptr : &it->second;
}

const std::shared_ptr<const ServedModel>& Snapshot::find(std::string_view name,
                                                         std::string_view version) const noexcept {
  const ModelEntry* model = entry(name);
  if (model == nullptr) return kNone;
  for (auto it = model->versions.rbegin(); it != model->versions.rend(); ++it) {
    if (version.empty() ? it->model != nullptr : it->version == version) return it->model;
  }
  return kNone;
}

const std::shared_ptr<const ServedModel>& Snapshot::find_label(
    std::string_view name, std::string_view label) const noexcept {
  const ModelEntry* model = entry(name);
  if (model == nullptr) return kNone;
  const auto it = model->labels.find(label);
  return it == model->labels.end() ? kNone : find(name, it->second);
}

Error Snapshot::absence(std::string_view name, std::string_view version) const {
  const ModelEntry* model = entry(name);
  if (model == nullptr) {
    return {ErrorCode::kNotFound, fmt::format("there is no model '{}'", name)};
  }
  const auto wanted = [&](const ModelVersion& known) {
    return version.empty() || known.version == version;
  };
  const auto it = std::find_if(model->versions.rbegin(), model->versions.rend(), wanted);
  if (it == model->versions.rend()) {
    const std::string highest =
        model->versions.empty() ? "it has none"
                                : fmt::format("the highest is {}", model->versions.back().version);
    return {ErrorCode::kNotFound,
            fmt::format("model '{}' has no version '{}'; {}", name, version, highest)};
  }
  return {ErrorCode::kUnavailable,
          fmt::format("model '{}' version {} is not ready: it is {}{}{}", name, it->version,
                      state_name(it->state), it->reason.empty() ? "" : ", ", it->reason)};
}

}  // namespace kerf::serving
