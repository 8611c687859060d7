#include "serving/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "kerf/error.h"

namespace kerf::serving {
namespace {

// Makes the plan of a call of one sample, so that the first request finds it. Inputs with unknown
// dimensions beside the batch are left to the first request.
void warm_up(const ServedModel& served) {
  std::vector<std::string_view> names;
  std::vector<Shape> shapes;
  for (const TensorInfo& input : served.model().inputs()) {
    names.emplace_back(input.name);
    Shape shape = input.shape;
    if (shape.rank() != 0 && shape[0] == Shape::kUnknown) shape[0] = 1;
    if (!shape.is_static()) return;
    shapes.push_back(shape);
  }
  if (!names.empty()) served.make_plan({.feeds = names, .shapes = shapes, .fetches = {}});
}

}  // namespace

std::shared_ptr<Repository> Repository::load(std::span<const ModelFile> files,
                                             const LoadSettings& settings) {
  std::vector<std::unique_ptr<const ServedModel>> loaded(files.size());
  std::vector<double> shares(files.size());
  std::vector<std::string> failures;
  std::mutex mutex;  // guards the three above, and calls into `settings`
  std::atomic<std::size_t> next = 0;

  const auto report = [&](std::size_t index, double share) {
    const std::lock_guard lock(mutex);
    shares[index] = share;
    if (!settings.progress) return;
    double sum = 0;
    for (const double part : shares) sum += part;
    settings.progress(sum / static_cast<double>(files.size()));
  };
  const auto load_one = [&](std::size_t index) {
    const ModelFile& file = files[index];
    try {
      const auto start = std::chrono::steady_clock::now();
      auto served = std::make_unique<const ServedModel>(
          file.name, file.version,
          Model::load(file.path, {.progress = [&](double share) { report(index, share * 0.95); }}),
          settings.limits);
      warm_up(*served);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      report(index, 1);
      const std::lock_guard lock(mutex);
      if (settings.loaded) settings.loaded(*served, took.count());
      loaded[index] = std::move(served);
    } catch (const std::exception& error) {
      const std::lock_guard lock(mutex);
      const std::string_view what = error.what();
      const std::string path = file.path.string();
      failures.push_back(what.find(path) == std::string_view::npos
                             ? fmt::format("{}: {}", path, what)
                             : std::string(what));
    }
  };
  const auto work = [&] {
    for (std::size_t i = next++; i < files.size(); i = next++) load_one(i);
  };
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t wanted = settings.threads != 0 ? settings.threads : cores;
  {
    std::vector<std::jthread> helpers;
    for (std::size_t i = 1; i < std::min(wanted, files.size()); ++i) helpers.emplace_back(work);
    work();
  }
  if (!failures.empty()) {
    std::ranges::sort(failures);
    throw Error(ErrorCode::kInvalidFile, fmt::format("{}", fmt::join(failures, "\n")));
  }

  Snapshot::Models models;
  for (std::unique_ptr<const ServedModel>& model : loaded) {
    models[model->name()].versions.push_back({.version = model->version(),
                                              .state = VersionState::kReady,
                                              .reason = {},
                                              .model = std::move(model)});
  }
  return std::make_shared<Repository>(Snapshot(std::move(models)));
}

Repository::Repository(Snapshot snapshot)
    : snapshot_(std::make_shared<const Snapshot>(std::move(snapshot))) {}

std::shared_ptr<const Snapshot> Repository::snapshot() const {
  const std::lock_guard lock(mutex_);
  return snapshot_;
}

void Repository::publish(Snapshot snapshot) {
  auto next = std::make_shared<const Snapshot>(std::move(snapshot));
  const std::lock_guard lock(mutex_);
  snapshot_.swap(next);  // the old one goes, if nobody holds it, without the lock
  generation_.fetch_add(1, std::memory_order_release);
}

void Repository::Reader::refresh() {
  std::shared_ptr<const Snapshot> old;  // likewise
  const std::lock_guard lock(repository_.mutex_);
  old = std::exchange(snapshot_, repository_.snapshot_);
  generation_ = repository_.generation_.load(std::memory_order_relaxed);
}

void Repository::Reader::rest() noexcept {
  snapshot_.reset();
  generation_ = 0;
}

}  // namespace kerf::serving
