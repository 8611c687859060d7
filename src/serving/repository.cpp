#include "serving/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "kerf/error.h"

namespace kerf::serving {
namespace {

struct LowerVersion {
  using is_transparent = void;
  bool operator()(std::string_view a, std::string_view b) const noexcept {
    return lower_version(a, b);
  }
};

using Kind = RepositoryEvent::Kind;

}  // namespace

// A version of a model, as far as it has come.
struct Repository::Slot {
  ModelFile file;
  std::optional<FileStamp> stamp;  // of the files that were loaded, or could not be
  std::optional<FileStamp> seen;   // when they were looked at last
  VersionState state = VersionState::kLoading;
  std::string reason;
  std::shared_ptr<const ServedModel> model;
};

struct Repository::Known {
  std::filesystem::path place;  // of its spec
  ModelOptions options;
  bool unloaded = false;  // somebody wants it so
  std::uint64_t loads = 0;
  std::uint64_t load_failures = 0;
  std::map<std::string, Slot, LowerVersion> versions;
};

struct Repository::Update {
  bool settle = false;     // load what changes only when it has come to rest
  bool background = true;  // give way to what is being served
  std::string_view force;  // load this one whether it has changed or not
};

Repository::Repository(RepositorySettings settings) : settings_(std::move(settings)) {}

Repository::Repository(Snapshot snapshot) : started_(true), snapshot_(std::move(snapshot)) {}

Repository::~Repository() {
  {
    const std::lock_guard lock(watching_);
    ending_ = true;
  }
  wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

std::shared_ptr<Repository> Repository::load(std::span<const ModelFile> files,
                                             const LoadSettings& settings) {
  Snapshot::Models models;
  std::vector<std::string> failures;
  std::vector<LoadJob> jobs;
  for (const ModelFile& file : files) {
    jobs.push_back({.file = file,
                    .options = {},
                    .old = {},
                    .done =
                        [&](std::unique_ptr<const ServedModel> model) {
                          models[file.name].versions.push_back({.version = file.version,
                                                                .state = VersionState::kReady,
                                                                .reason = {},
                                                                .model = std::move(model)});
                        },
                    .failed = [&](const Error& error) { failures.emplace_back(error.what()); }});
  }
  load_models(jobs, settings);
  if (!failures.empty()) {
    std::ranges::sort(failures);
    throw Error(ErrorCode::kInvalidFile, fmt::format("{}", fmt::join(failures, "\n")));
  }
  return std::make_shared<Repository>(Snapshot(std::move(models)));
}

void Repository::publish_known() {
  Snapshot::Models models;
  bool all_served = true;
  for (const auto& [name, known] : known_) {
    ModelEntry& entry = models[name];
    entry.labels = known.options.labels;
    entry.loads = known.loads;
    entry.load_failures = known.load_failures;
    bool served = known.unloaded;
    for (const auto& [version, slot] : known.versions) {
      served = served || slot.model != nullptr;
      entry.versions.push_back(
          {.version = version, .state = slot.state, .reason = slot.reason, .model = slot.model});
    }
    all_served = all_served && served;
  }
  if (Snapshot next(std::move(models)); next != *snapshot()) publish(std::move(next));
  if (all_served && !known_.empty()) started_ = true;
}

void Repository::tell(RepositoryEvent event) const {
  if (settings_.event) settings_.event(event);
}

void Repository::tell_problems(const std::vector<std::string>& problems) {
  std::set<std::string> now(problems.begin(), problems.end());
  for (const std::string& problem : now) {
    if (!told_.contains(problem)) {
      tell({.kind = Kind::kProblem, .model = {}, .version = {}, .text = problem});
    }
  }
  told_ = std::move(now);
}

void Repository::find_work(const FoundModel& found, const Update& what, std::vector<LoadJob>& jobs,
                           std::vector<std::string>& failures) {
  const bool forced = what.force == found.name;
  const auto [place, is_new] = known_.try_emplace(found.name);
  Known& known = place->second;
  if (is_new) {
    for (const std::string& note : found.notes) {
      tell({.kind = Kind::kNote, .model = found.name, .version = {}, .text = note});
    }
    known.unloaded = !found.options.load_at_start;
  }
  const bool same_options = known.options == found.options;
  known.place = found.place;
  known.options = found.options;
  if (forced) known.unloaded = false;

  std::shared_ptr<const ServedModel> newest;
  for (const auto& [version, slot] : known.versions) {
    if (slot.model) newest = slot.model;
  }
  for (const ModelFile& file : found.files) {
    Slot& slot = known.versions[file.version];
    if (known.unloaded) {
      if (slot.reason.empty()) slot.reason = "nobody has loaded it";
      slot.state = VersionState::kUnavailable;
      continue;
    }
    const FileStamp stamp = stamp_of(file.path);
    const bool changed = slot.stamp != stamp || slot.file.path != file.path;
    if (!changed && !forced && (same_options || !slot.model)) continue;
    if (what.settle && slot.seen != stamp) {
      slot.seen = stamp;
      continue;
    }
    slot.file = file;
    slot.stamp = stamp;
    slot.seen = stamp;
    if (!slot.model) slot.state = VersionState::kLoading;
    slot.reason.clear();
    jobs.push_back({.file = file,
                    .options = known.options,
                    .old = slot.model ? slot.model : newest,
                    .done =
                        [this, &known, &slot](std::unique_ptr<const ServedModel> model) {
                          ++known.loads;
                          slot.model = reaper_.share(std::move(model));
                          slot.state = VersionState::kReady;
                          publish_known();
                        },
                    .failed =
                        [this, &known, &slot, &failures](const Error& error) {
                          ++known.load_failures;
                          slot.reason = error.what();
                          slot.state =
                              slot.model ? VersionState::kReady : VersionState::kUnavailable;
                          // What may be there or have room another time is tried again.
                          if (error.code() != ErrorCode::kInvalidFile &&
                              error.code() != ErrorCode::kUnsupported) {
                            slot.stamp.reset();
                          }
                          failures.emplace_back(error.what());
                          tell({.kind = Kind::kFailed,
                                .model = slot.file.name,
                                .version = slot.file.version,
                                .text = error.what()});
                          publish_known();
                        }});
  }
}

void Repository::remove_unwanted(const Scan& scan) {
  for (auto it = known_.begin(); it != known_.end();) {
    auto& [name, known] = *it;
    const bool configured =
        std::ranges::find(specs_, known.place, &ModelSpec::path) != specs_.end();
    if (scan.lost_models.contains(name) || (configured && scan.lost_paths.contains(known.place))) {
      ++it;
      continue;
    }
    const auto found = std::ranges::find(scan.models, name, &FoundModel::name);
    const auto is_wanted = [&](std::string_view version) {
      return found != scan.models.end() &&
             std::ranges::find(found->files, version, &ModelFile::version) != found->files.end();
    };
    // A new version takes the place of an old one only when it can answer.
    const bool complete = std::ranges::all_of(known.versions, [&](const auto& version) {
      return version.second.model != nullptr || !is_wanted(version.first);
    });
    for (auto slot = known.versions.begin(); slot != known.versions.end();) {
      if (is_wanted(slot->first) || !complete) {
        ++slot;
        continue;
      }
      if (slot->second.model) {
        tell({.kind = Kind::kUnloaded, .model = name, .version = slot->first, .text = {}});
      }
      slot = known.versions.erase(slot);
    }
    it = known.versions.empty() ? known_.erase(it) : std::next(it);
  }
}

std::vector<std::string> Repository::update(const Update& what) {
  Scan scan = scan_models(specs_);
  std::vector<std::string> failures;
  std::vector<LoadJob> jobs;
  for (const FoundModel& found : scan.models) {
    if (what.force.empty() || what.force == found.name) find_work(found, what, jobs, failures);
  }
  publish_known();
  LoadSettings loading = settings_.loading;
  loading.in_background = what.background;
  if (what.background) {
    loading.threads = 0;
    loading.progress = nullptr;
  }
  loading.loaded = [this](const ServedModel& model, double seconds) {
    if (settings_.loading.loaded) settings_.loading.loaded(model, seconds);
    tell({.kind = Kind::kLoaded,
          .model = model.name(),
          .version = model.version(),
          .text = std::string(precision_name(model.model().precision())),
          .seconds = seconds});
  };
  load_models(jobs, loading);
  jobs.clear();  // with the old models
  if (what.force.empty()) {
    remove_unwanted(scan);
    for (const FoundModel& found : scan.models) {
      for (const auto& [label, version] : found.options.labels) {
        const auto known = known_.find(found.name);
        if (known == known_.end() || !known->second.versions.contains(version)) {
          scan.problems.push_back(
              fmt::format("{}: the label '{}' stands for version {}, which is "
                          "not served",
                          found.name, label, version));
        }
      }
    }
    tell_problems(scan.problems);
  }
  publish_known();
  failures.insert(failures.end(), scan.problems.begin(), scan.problems.end());
  return failures;
}

std::vector<std::string> Repository::configure(std::vector<ModelSpec> specs) {
  const std::lock_guard lock(changing_);
  const bool first = specs_.empty();
  specs_ = std::move(specs);
  std::vector<std::string> failures = update({.background = !first});
  if (settings_.control == ModelControl::kPoll && !watcher_.joinable()) {
    watcher_ = std::thread([this] { watch(); });
  }
  return failures;
}

void Repository::check_explicit() const {
  if (settings_.control != ModelControl::kExplicit) {
    throw Error(ErrorCode::kUnavailable,
                "this server does not load or unload models when told to; it would with "
                "--model-control=explicit");
  }
}

void Repository::load_model(std::string_view name) {
  check_explicit();
  const std::lock_guard lock(changing_);
  const std::vector<std::string> failures = update({.force = name});
  const auto known = known_.find(name);
  if (known == known_.end()) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("there is no model '{}' where this server looks for models", name));
  }
  for (const auto& [version, slot] : known->second.versions) {
    if (!slot.reason.empty()) throw Error(ErrorCode::kInvalidFile, slot.reason);
  }
}

void Repository::unload_model(std::string_view name) {
  check_explicit();
  const std::lock_guard lock(changing_);
  const auto known = known_.find(name);
  if (known == known_.end()) {
    throw Error(ErrorCode::kNotFound, fmt::format("there is no model '{}'", name));
  }
  known->second.unloaded = true;
  for (auto& [version, slot] : known->second.versions) {
    if (slot.model) {
      tell({.kind = Kind::kUnloaded, .model = std::string(name), .version = version, .text = {}});
    }
    slot.model.reset();
    slot.stamp.reset();
    slot.state = VersionState::kUnavailable;
    slot.reason = "unloaded";
  }
  publish_known();
}

void Repository::poll() {
  const std::lock_guard lock(changing_);
  update({.settle = true});
}

void Repository::watch() {
  std::unique_lock lock(watching_);
  while (!wake_.wait_for(lock, settings_.poll_interval, [this] { return ending_; })) {
    lock.unlock();
    try {
      poll();
    } catch (const std::exception& error) {
      tell({.kind = Kind::kProblem, .model = {}, .version = {}, .text = error.what()});
    }
    lock.lock();
  }
}

}  // namespace kerf::serving
