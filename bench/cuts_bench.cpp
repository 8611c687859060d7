#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "kerf/model.h"
#include "rounds.h"

// What cuts cost beside the whole model, in time and memory. See README.md.
namespace kerf::bench {
namespace {

constexpr std::size_t kCuts = 10;
constexpr int kRounds = 7;
constexpr double kSeconds = 0.02;

double resident_megabytes() {
  std::ifstream status("/proc/self/statm");
  double pages = 0;
  status >> pages >> pages;
  return pages * 4096e-6;
}

// A cut with a plan for one sample, and memory to run it in.
class Part {
 public:
  explicit Part(const Cut& cut) : plan_(cut.plan(shapes_of(cut))) {}
  void allocate() {
    std::mt19937 random{1};
    std::uniform_real_distribution<float> values(-1, 1);
    for (const TensorInfo& feed : plan_.feeds()) {
      if (feed.dtype != DType::kFloat32) throw std::runtime_error(feed.name + " is not float32");
      std::vector<float>& memory = memory_.emplace_back(feed.shape.element_count());
      for (float& value : memory) value = values(random);
      feeds_.push_back(memory.data());
    }
    for (const TensorInfo& fetch : plan_.fetches()) {
      fetches_.push_back(memory_.emplace_back(fetch.shape.element_count()).data());
    }
  }
  void run(Workspace& workspace) const { plan_.run(feeds_, fetches_, workspace); }

 private:
  static std::vector<Shape> shapes_of(const Cut& cut) {
    std::vector<Shape> shapes;
    for (const TensorInfo& feed : cut.feeds()) {
      shapes.push_back(feed.shape);
      for (std::size_t i = 0; i < feed.shape.rank(); ++i) {
        if (feed.shape[i] == Shape::kUnknown) shapes.back()[i] = 1;
      }
    }
    return shapes;
  }

  Plan plan_;
  std::vector<std::vector<float>> memory_;
  std::vector<const void*> feeds_;
  std::vector<void*> fetches_;
};

// Cut points that divide the work into about equal parts.
std::vector<CutPoint> spread(const std::vector<CutPoint>& points) {
  std::vector<CutPoint> chosen;
  const double total = points.empty() ? 0 : points[0].flops_before + points[0].flops_after;
  for (const CutPoint& point : points) {
    const double wanted =
        total * static_cast<double>(chosen.size() + 1) / static_cast<double>(kCuts + 1);
    if (point.flops_before >= wanted && chosen.size() < kCuts) chosen.push_back(point);
  }
  return chosen;
}

void measure(const std::string& file) {
  const double alone = resident_megabytes();
  const Model model = Model::load(file);
  Part whole(model.whole());
  whole.allocate();
  Workspace workspace;
  const double planned = resident_megabytes();
  whole.run(workspace);
  const double served = resident_megabytes();

  struct Parts {
    CutPoint at;
    Part head;
    Part tail;
    Part beside;  // the whole, and the tensor besides
  };
  std::vector<std::string> outputs;
  for (const TensorInfo& output : model.outputs()) outputs.push_back(output.name);
  std::vector<Parts> cuts;
  for (const CutPoint& point : spread(model.cut_points())) {
    const std::vector<std::string> at{point.tensor.name};
    std::vector<std::string> besides = outputs;
    besides.push_back(point.tensor.name);
    cuts.push_back({.at = point,
                    .head = Part(model.cut({}, at)),
                    .tail = Part(model.cut(at, {})),
                    .beside = Part(model.cut({}, besides))});
  }
  const double with_cuts = resident_megabytes();
  for (Parts& parts : cuts) {
    for (Part* part : {&parts.head, &parts.tail, &parts.beside}) part->allocate();
  }
  fmt::print(
      "\n{}: {:.1f} MB of weights, {:.1f} MB for a run; resident {:.1f} MB, {:.1f} more with {} "
      "cuts\n\n",
      file, static_cast<double>(model.parameter_count()) * 4e-6, served - planned, served - alone,
      with_cuts - served, 3 * cuts.size());
  fmt::print(
      "| cut at | work before | head + tail / whole | rounds | fetched besides / whole | rounds |\n"
      "| --- | --- | --- | --- | --- | --- |\n");
  for (const Parts& parts : cuts) {
    const auto time = [&](const Part& part) {
      return fastest_call(Clock::kThread, kSeconds, [&] { part.run(workspace); });
    };
    std::vector<double> halves;
    std::vector<double> besides;
    for (int round = 0; round < kRounds; ++round) {
      const double all = time(whole);
      halves.push_back((time(parts.head) + time(parts.tail)) / all);
      besides.push_back(time(parts.beside) / all);
    }
    const auto range = [](const std::vector<double>& values) {
      return fmt::format("{:.3f} | {:.3f} to {:.3f}", median(values), std::ranges::min(values),
                         std::ranges::max(values));
    };
    fmt::print("| {} | {:.2f} | {} | {} |\n", parts.at.tensor.name,
               parts.at.flops_before / (parts.at.flops_before + parts.at.flops_after),
               range(halves), range(besides));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace kerf::bench

int main(int argc, char** argv) {
  try {
    for (int i = 1; i < argc; ++i) kerf::bench::measure(argv[i]);
  } catch (const std::exception& error) {
    fmt::print(stderr, "cuts_bench: {}\n", error.what());
    return 1;
  }
  return 0;
}
