#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <random>

#include "kerf/model.h"
#include "machine.h"
#include "onnxruntime_session.h"
#include "rounds.h"
#include "tensor/npy.h"

// kerf against ONNX Runtime on the same models in one process, in alternate turns. See README.md.
namespace kerf::bench {
namespace {

struct Options {
  std::filesystem::path folder;
  std::vector<std::string> pairs;  // NAME or NAME:BATCH
  int threads = 1;
  int rounds = 11;
  double seconds = 0.1;
};

// The largest difference to what Keras computed for the sample in `file`, relative to the largest
// magnitude there; negative without such a file.
double error_against_keras(const Model& model, const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return -1;
  std::vector<Tensor> feeds(model.inputs().size());
  std::vector<Tensor> wanted(model.outputs().size());
  for (const auto& [name, tensor] : read_npz(file)) {
    const std::size_t underscore = name.rfind('_');
    const std::size_t index = std::stoul(name.substr(underscore + 1));
    (name.starts_with("input") ? feeds : wanted).at(index) = tensor;
  }
  const std::vector<Tensor> given = model.whole().run(feeds);
  double worst = 0;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const auto a = wanted[i].as<float>();
    const auto b = given[i].as<float>();
    double largest = 0;
    double difference = 0;
    for (std::size_t k = 0; k < a.size(); ++k) {
      largest = std::max(largest, std::abs(static_cast<double>(a[k])));
      difference = std::max(difference, std::abs(static_cast<double>(a[k]) - b[k]));
    }
    worst = std::max(worst, difference / largest);
  }
  return worst;
}

// A plan of the whole model with inputs made up as the ONNX session's are, and room for its
// outputs.
class KerfRun {
 public:
  KerfRun(const Model& model, int threads, std::int64_t batch)
      : threads_(static_cast<unsigned>(threads)), single_(threads == 1), cut_(model.whole()) {
    std::vector<Shape> shapes;
    for (std::size_t i = 0; i < model.inputs().size(); ++i) {
      const TensorInfo& input = model.inputs()[i];
      Shape shape = input.shape;
      for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
        if (shape[axis] == Shape::kUnknown) shape[axis] = axis == 0 ? batch : 1;
      }
      std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
      std::mt19937 random{static_cast<unsigned>(i)};
      std::uniform_real_distribution<float> distribution(-1, 1);
      for (float& value : values) {
        value = input.dtype == DType::kFloat32 ? distribution(random)
                                               : static_cast<float>(random() % 100000);
      }
      inputs_.push_back(Tensor::floats(shape, values).cast(input.dtype));
      feeds_.push_back(inputs_.back().data());
      shapes.push_back(shape);
    }
    plan_ = cut_.plan(shapes);
    for (const TensorInfo& fetch : plan_.fetches()) {
      outputs_.emplace_back(static_cast<std::size_t>(fetch.shape.element_count()) *
                            dtype_size(fetch.dtype));
      fetches_.push_back(outputs_.back().data());
    }
  }

  double flops() const { return plan_.flops(); }
  void run() { plan_.run(feeds_, fetches_, workspace_, single_ ? nullptr : &threads_); }

 private:
  Threads threads_;
  bool single_;
  Cut cut_;
  Plan plan_;
  Workspace workspace_;
  std::vector<Tensor> inputs_;
  std::vector<std::vector<std::byte>> outputs_;
  std::vector<const void*> feeds_;
  std::vector<void*> fetches_;
};

std::string microseconds(double seconds) {
  return fmt::format("{:.{}f}", seconds * 1e6, seconds < 1e-4 ? 2 : 0);
}

void measure(const Options& options, const std::string& pair, double peak) {
  const std::size_t colon = pair.find(':');
  const std::string name = pair.substr(0, colon);
  const std::int64_t batch = colon == std::string::npos ? 1 : std::stoll(pair.substr(colon + 1));
  const std::filesystem::path keras = options.folder / (name + ".keras");
  Model model;
  try {
    model = Model::load(keras);
  } catch (const Error& error) {
    fmt::print("| {}:{} | refused: {} |\n", name, batch, error.message());
    return;
  }
  const double error = error_against_keras(model, options.folder / (name + ".npz"));
  KerfRun kerf(model, options.threads, batch);
  OnnxRuntimeSession onnx(options.folder / (name + ".onnx"), options.threads, batch);
  const Comparison result = compare(
      options.threads == 1 ? Clock::kThread : Clock::kTime, options.rounds, options.seconds,
      [&] { kerf.run(); }, [&] { onnx.run(); });
  const double gflops = kerf.flops() / result.first * 1e-9;
  fmt::print("| {}:{} | {} | {} | {} | {:.2f} | {:.2f} to {:.2f} | {:.1f} | {:.0f}% | {} |\n", name,
             batch, options.threads, microseconds(result.second), microseconds(result.first),
             result.ratio, result.lowest, result.highest, gflops, 100 * gflops / peak,
             error < 0 ? "-" : fmt::format("{:.1e}", error));
  std::fflush(stdout);
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app{"Times kerf against ONNX Runtime on pairs NAME.keras, NAME.onnx."};
  app.add_option("folder", options.folder, "Where the pairs are")->required();
  app.add_option("pairs", options.pairs, "NAME or NAME:BATCH")->required();
  app.add_option("--threads", options.threads, "Threads inside one call")->capture_default_str();
  app.add_option("--rounds", options.rounds, "Turns of each engine")->capture_default_str();
  app.add_option("--seconds", options.seconds, "Length of a turn")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  const double peak = peak_gflops(options.threads);
  fmt::print("This machine, {} threads: {:.0f} GFLOP/s", options.threads, peak);
  for (const std::size_t mebibytes : {std::size_t{4}, std::size_t{128}}) {
    fmt::print(", {:.0f} GB/s from {} MiB a thread",
               read_gigabytes_per_second(options.threads, mebibytes << 20), mebibytes);
  }
  fmt::print(
      "\n\n| model:batch | threads | ONNX Runtime {} µs | kerf µs | times as fast | rounds | "
      "GFLOP/s | of peak | error to Keras |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
      OnnxRuntimeSession::version());
  for (const std::string& pair : options.pairs) measure(options, pair, peak);
  return 0;
}

}  // namespace
}  // namespace kerf::bench

int main(int argc, char** argv) {
  try {
    return kerf::bench::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
