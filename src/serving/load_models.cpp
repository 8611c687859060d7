#include "serving/load_models.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <new>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "serving/find_models.h"

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
  if (!names.empty()) served.make_target({.feeds = names, .shapes = shapes, .fetches = {}});
}

// Makes the plans that calls of `old` used last. What the new model does not have, it will not be
// asked for either.
void warm_up_as(const ServedModel& old, const ServedModel& served) {
  constexpr std::size_t kMostPlans = 64;
  std::vector<std::string> keys = old.recent_targets();
  keys.resize(std::min(keys.size(), kMostPlans));
  for (const std::string& key : keys) {
    try {
      const OwnedCallSpec spec = read_target_key(key);
      const std::vector<std::string_view> feeds(spec.feeds.begin(), spec.feeds.end());
      const std::vector<std::string_view> fetches(spec.fetches.begin(), spec.fetches.end());
      served.make_target({.feeds = feeds, .shapes = spec.shapes, .fetches = fetches});
    } catch (const Error&) {
      continue;
    }
  }
}

Error as_error(const std::filesystem::path& path) {
  const std::string place = path.string();
  try {
    throw;
  } catch (const Error& error) {
    return std::string_view(error.what()).find(place) == std::string_view::npos
               ? error.within(place)
               : error;
  } catch (const std::bad_alloc&) {
    return {ErrorCode::kResourceExhausted, "there is not enough memory to load it", place};
  } catch (const std::exception& error) {
    return {ErrorCode::kInvalidFile, error.what(), place};
  }
}

// Linux has nice values per thread; threads that this one starts inherit them.
void give_way() {
  constexpr int kNice = 10;
  ::setpriority(PRIO_PROCESS, 0, kNice);
}

}  // namespace

void load_models(std::span<const LoadJob> jobs, const LoadSettings& settings) {
  std::vector<double> shares(jobs.size());
  std::mutex mutex;  // guards the shares, and calls into `settings` and `jobs`
  std::atomic<std::size_t> next = 0;

  const auto report = [&](std::size_t index, double share) {
    const std::lock_guard lock(mutex);
    shares[index] = share;
    if (!settings.progress) return;
    double sum = 0;
    for (const double part : shares) sum += part;
    settings.progress(sum / static_cast<double>(jobs.size()));
  };
  const auto load_one = [&](std::size_t index) {
    const LoadJob& job = jobs[index];
    try {
      const auto start = std::chrono::steady_clock::now();
      auto served = std::make_unique<const ServedModel>(
          job.file.name, job.file.version,
          Model::load(model_in(job.file.path),
                      {.progress = [&](double share) { report(index, share * 0.95); },
                       .extensions = settings.extensions,
                       .weights = {},
                       .precision = job.options.serving.precision.value_or(Precision::kFloat32)}),
          settings.limits, job.options.serving);
      warm_up(*served);
      if (job.old) warm_up_as(*job.old, *served);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      report(index, 1);
      const std::lock_guard lock(mutex);
      if (settings.loaded) settings.loaded(*served, took.count());
      job.done(std::move(served));
    } catch (...) {
      const Error error = as_error(job.file.path);
      report(index, 1);
      const std::lock_guard lock(mutex);
      job.failed(error);
    }
  };
  const auto work = [&] {
    if (settings.in_background) give_way();
    for (std::size_t i = next++; i < jobs.size(); i = next++) load_one(i);
  };
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const std::size_t wanted = settings.threads != 0    ? settings.threads
                             : settings.in_background ? 1
                                                      : cores;
  std::vector<std::jthread> helpers;
  for (std::size_t i = 0; i < std::min(wanted, jobs.size()); ++i) helpers.emplace_back(work);
}

}  // namespace kerf::serving
