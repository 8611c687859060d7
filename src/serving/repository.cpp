#include "serving/repository.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "kerf/error.h"

namespace kerf::serving {
namespace {

bool lower_version(std::string_view a, std::string_view b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

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

std::shared_ptr<const Repository> Repository::load(std::span<const ModelFile> files,
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

  auto repository = std::make_shared<Repository>();
  for (std::unique_ptr<const ServedModel>& model : loaded) {
    repository->models_[model->name()].push_back(std::move(model));
  }
  for (auto& [name, versions] : repository->models_) {
    std::ranges::sort(versions, lower_version,
                      [](const auto& model) -> std::string_view { return model->version(); });
  }
  return repository;
}

const ServedModel* Repository::find(std::string_view name,
                                    std::string_view version) const noexcept {
  const auto it = models_.find(name);
  if (it == models_.end()) return nullptr;
  if (version.empty()) return it->second.back().get();
  for (const std::unique_ptr<const ServedModel>& model : it->second) {
    if (model->version() == version) return model.get();
  }
  return nullptr;
}

}  // namespace kerf::serving
