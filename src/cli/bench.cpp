#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/latencies.h"
#include "cli/load.h"
#include "cli/samples.h"

namespace kerf::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kHelp =
    R"(Measure how fast kerf runs a model, or a part of it. Shown are the latency of a run, runs
and samples per second, GFLOP/s, and with --profile the time in each layer, all in this
process. Inputs are made up: floats in [-1, 1), zeros for everything else.)";

constexpr auto kExamples = R"(Examples:
  kerf bench recommender.keras                           one run at a time, on one core
  kerf bench resnet50.keras --threads 8                  each run on 8 cores
  kerf bench resnet50.keras --workers 8 --batch 4        8 runs of 4 samples at a time, a core each
  kerf bench resnet50.keras --profile                    where the time goes
  kerf bench encoder.keras --shape tokens=1,128          dimensions that the model leaves open
  kerf bench recommender.keras --feed concat             the tail after concat
  kerf bench resnet50.keras --precision bf16             with its weights in bfloat16)";

struct Options {
  std::string model;
  config::ExtensionList extensions;
  std::vector<std::string> feeds;
  std::vector<std::string> fetches;
  std::vector<std::string> shapes;
  std::int64_t batch = 1;
  unsigned threads = 1;
  unsigned workers = 1;
  double seconds = 2;
  bool profile = false;
  Precision precision = Precision::kFloat32;
};

// A caller of a plan with memory of its own.
class Caller {
 public:
  Caller(const Plan& plan, const Threads* threads, std::uint32_t seed)
      : plan_(plan), threads_(threads) {
    std::mt19937 random(seed);
    for (const TensorInfo& feed : plan.feeds()) {
      tensors_.push_back(made_up(feed, random));
      if (feed.dtype == DType::kString) {
        strings_.push_back(tensors_.back().strings());
        feeds_.push_back(strings_.back().data());
      } else {
        feeds_.push_back(tensors_.back().data());
      }
    }
    for (const TensorInfo& fetch : plan.fetches()) {
      const auto count = static_cast<std::size_t>(fetch.shape.element_count());
      results_.push_back(std::make_unique<std::byte[]>(count * element_size(fetch.dtype) + 1));
      fetches_.push_back(results_.back().get());
    }
  }

  void run() { plan_.run(feeds_, fetches_, workspace_, threads_); }
  std::vector<ProfileEntry> profile() {
    return plan_.profile(feeds_, fetches_, workspace_, threads_);
  }

 private:
  const Plan& plan_;
  const Threads* threads_;
  Workspace workspace_;
  std::vector<Tensor> tensors_;
  std::vector<std::vector<std::string_view>> strings_;
  std::vector<const void*> feeds_;
  std::vector<std::unique_ptr<std::byte[]>> results_;
  std::vector<void*> fetches_;
};

std::string duration(double nanoseconds) {
  if (nanoseconds < 1e3) return fmt::format("{:.0f} ns", nanoseconds);
  if (nanoseconds < 1e6) return fmt::format("{:.3g} us", nanoseconds / 1e3);
  if (nanoseconds < 1e9) return fmt::format("{:.3g} ms", nanoseconds / 1e6);
  return fmt::format("{:.3g} s", nanoseconds / 1e9);
}

struct Measured {
  Latencies latencies;
  double seconds = 0;
};

// Every worker runs until the time is over; the first run of each, which warms its memory, is not
// counted.
Measured measure(const Plan& plan, const Threads* threads, const Options& options) {
  std::vector<Latencies> latencies(options.workers);
  std::vector<std::unique_ptr<Caller>> callers;
  for (unsigned i = 0; i < options.workers; ++i) {
    callers.push_back(std::make_unique<Caller>(plan, threads, i + 1));
    callers.back()->run();
  }
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(options.seconds));
  const auto work = [&](unsigned i) {
    auto before = Clock::now();
    do {
      callers[i]->run();
      const auto after = Clock::now();
      latencies[i].add(static_cast<std::uint64_t>((after - before).count()));
      before = after;
    } while (before < end);
  };
  std::vector<std::jthread> workers;
  for (unsigned i = 1; i < options.workers; ++i) workers.emplace_back(work, i);
  work(0);
  workers.clear();
  Measured measured;
  measured.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  for (const Latencies& one : latencies) measured.latencies.add(one);
  return measured;
}

void print_measured(const Measured& measured, double samples_per_run, double flops) {
  const Latencies& latencies = measured.latencies;
  const double runs = static_cast<double>(latencies.count()) / measured.seconds;
  fmt::print("latency     p50 {}   p90 {}   p99 {}   p99.9 {}   max {}   mean {}\n",
             duration(latencies.quantile(0.5)), duration(latencies.quantile(0.9)),
             duration(latencies.quantile(0.99)), duration(latencies.quantile(0.999)),
             duration(static_cast<double>(latencies.max())), duration(latencies.mean()));
  fmt::print("throughput  {:.1f} runs/s   {:.1f} samples/s   {:.2f} GFLOP/s\n", runs,
             runs * samples_per_run, runs * flops / 1e9);
}

// Runs on one worker for a share of the time; the median of each op over the runs.
void print_profile(const Plan& plan, const Threads* threads, double seconds) {
  Caller caller(plan, threads, 1);
  caller.run();
  std::vector<ProfileEntry> ops = caller.profile();
  std::vector<std::vector<double>> times(ops.size());
  const auto end = Clock::now() + std::chrono::duration<double>(seconds);
  constexpr int kEnoughRuns = 1000;
  for (int runs = 0; runs == 0 || (runs < kEnoughRuns && Clock::now() < end); ++runs) {
    const std::vector<ProfileEntry> entries = caller.profile();
    for (std::size_t i = 0; i < entries.size(); ++i) times[i].push_back(entries[i].seconds);
  }
  double total = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    std::ranges::nth_element(times[i], times[i].begin() + static_cast<long>(times[i].size() / 2));
    ops[i].seconds = times[i][times[i].size() / 2];
    total += ops[i].seconds;
  }
  std::size_t layer_width = std::string_view("layer").size();
  std::size_t op_width = std::string_view("op").size();
  for (const ProfileEntry& op : ops) {
    layer_width = std::max(layer_width, op.layer.size());
    op_width = std::max(op_width, op.op.size());
  }
  fmt::print("\n{:<{}}  {:<{}}  {:>8}  {:>6}  {:>8}\n", "layer", layer_width, "op", op_width,
             "time", "share", "GFLOP/s");
  for (const ProfileEntry& op : ops) {
    fmt::print(
        "{:<{}}  {:<{}}  {:>8}  {:>5.1f}%  {:>8}\n", op.layer, layer_width, op.op, op_width,
        duration(op.seconds * 1e9), total > 0 ? op.seconds / total * 100 : 0,
        op.flops > 0 && op.seconds > 0 ? fmt::format("{:.2f}", op.flops / op.seconds / 1e9) : "");
  }
}

int bench(const Options& options) {
  const Model model = load_model(options.model, options.extensions, options.precision);
  const Cut cut = model.cut(options.feeds, options.fetches);
  const std::vector<Shape> shapes = sample_shapes(cut, options.shapes, options.batch);
  const auto before = Clock::now();
  const Plan plan = cut.plan(shapes);
  const double compiling = std::chrono::duration<double, std::nano>(Clock::now() - before).count();
  const Threads threads(options.threads);
  const Threads* const pool = options.threads > 1 ? &threads : nullptr;

  fmt::print("{}: {} -> {}\n", options.model, describe_ports(plan.feeds()),
             describe_ports(plan.fetches()));
  fmt::print("{} worker{}, {} thread{} a run; {:.3g} MFLOP a run; compiled in {}, in {}\n\n",
             options.workers, options.workers == 1 ? "" : "s", options.threads,
             options.threads == 1 ? "" : "s", plan.flops() / 1e6, duration(compiling),
             precision_name(model.precision()));
  const double samples =
      shapes.empty() || shapes[0].rank() == 0 ? 1.0 : static_cast<double>(shapes[0][0]);
  print_measured(measure(plan, pool, options), samples, plan.flops());
  if (options.profile) print_profile(plan, pool, options.seconds);
  return kSuccess;
}

}  // namespace

void add_bench(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("bench", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", options->model, "a model file or folder of any kind")->required();
  add_cut_options(command, options->feeds, options->fetches);
  command.add_option("--batch", options->batch, "samples in a run")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30))
      ->type_name("N");
  add_tensor_option(command, "--shape", options->shapes, "D0,D1,...",
                    "shape of a fed tensor, batch included, in place of --batch");
  command.add_option("--threads", options->threads, "cores that one run is spread over")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
  command.add_option("--workers", options->workers, "runs at a time")
      ->capture_default_str()
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
  command.add_option("--seconds", options->seconds, "how long to measure")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 86400.0))
      ->type_name("S");
  command.add_flag("--profile", options->profile, "the time each op takes, after the measurement");
  add_precision_option(command, options->precision);
  add_extension_options(command, options->extensions);
  command.callback([=, &chosen] { chosen = [options] { return bench(*options); }; });
}

}  // namespace kerf::cli
