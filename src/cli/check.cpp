#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/precision_error.h"
#include "cli/samples.h"
#include "tensor/npy.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Say whether kerf can serve these models, and if not, every reason why. All unknown layers
are named at once, and missing weights, and options that are not supported. Nothing in a
file is executed. The exit code is 0 if all of the models can be served, else 1.
With --precision, say too how far its outputs are then from those in float32: on samples of
your own, or on made-up ones, which tell less.)";

constexpr auto kExamples = R"(Examples:
  kerf check recommender.keras
  kerf check models/*.keras && kerf serve models/
  kerf check resnet50.keras --precision int8 --inputs images.npz
  kerf check resnet50.keras --precision bf16 --tolerance 0.01      1 if the error is larger)";

struct Options {
  std::vector<std::string> files;
  config::ExtensionList extensions;
  Precision precision = Precision::kFloat32;
  std::string inputs;  // a .npz file; empty: made-up ones
  std::int64_t batch = 8;
  std::vector<std::string> shapes;
  std::optional<double> tolerance;
};

// The arrays of --inputs, in the order of the model's inputs. An array needs no name where it is
// the only one.
std::vector<Tensor> read_inputs(const std::string& file, const std::vector<TensorInfo>& inputs) {
  const NamedTensors arrays = read_npz(file);
  if (inputs.size() == 1 && arrays.size() == 1) return {arrays.front().second};
  std::vector<Tensor> tensors;
  for (const TensorInfo& input : inputs) {
    const auto found = std::ranges::find(arrays, input.name, &NamedTensors::value_type::first);
    if (found == arrays.end()) {
      std::vector<std::string> names;
      for (const auto& [name, array] : arrays) names.push_back(name);
      throw Error(ErrorCode::kNotFound,
                  fmt::format("there is no array of the name of the input '{}', but {}", input.name,
                              fmt::join(names, ", ")),
                  file);
    }
    tensors.push_back(found->second);
  }
  return tensors;
}

std::vector<Tensor> make_inputs(const Cut& cut, const Options& options) {
  const std::vector<Shape> shapes = sample_shapes(cut, options.shapes, options.batch);
  std::mt19937 random(1);
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    TensorInfo info = cut.feeds()[i];
    info.shape = shapes[i];
    tensors.push_back(made_up(info, random));
  }
  return tensors;
}

// What the precision costs. False if that is more than is tolerated.
bool report_error(const Model& model, const Options& options) {
  const Cut exact = model.whole();
  const std::vector<Tensor> inputs = options.inputs.empty()
                                         ? make_inputs(exact, options)
                                         : read_inputs(options.inputs, exact.feeds());
  const Threads threads;
  const std::vector<OutputError> errors =
      output_errors(exact.fetches(), exact.run(inputs, &threads),
                    model.with_precision(options.precision).whole().run(inputs, &threads));
  fmt::print("  in {}, not float32, on {} samples:\n{}", precision_name(options.precision),
             options.inputs.empty() ? "made-up" : "your", describe(errors));
  return std::ranges::all_of(errors, [&](const OutputError& error) {
    return !options.tolerance || error.relative <= *options.tolerance;
  });
}

// What is found by reading the file, and only if that is nothing, what compiling it finds.
std::vector<std::string> problems(const std::string& file, const config::ExtensionList& extensions,
                                  std::string& served, std::optional<Model>& model) {
  std::vector<std::string> found =
      check_model(file, {.progress = {}, .extensions = extensions.read(), .weights = {}});
  if (!found.empty()) return found;
  try {
    model = load_model(file, extensions);
    const Cut whole = model->whole();
    served = describe_ports(whole.feeds()) + " -> " + describe_ports(whole.fetches());
  } catch (const Error& error) {
    found.emplace_back(error.what());
  }
  return found;
}

// False if it cannot be served as it is to be.
bool check_file(const std::string& file, const Options& options) {
  std::string served;
  std::optional<Model> model;
  const std::vector<std::string> reasons = problems(file, options.extensions, served, model);
  if (!reasons.empty()) {
    fmt::print("{}: cannot be served, for {} reason{}:\n", file, reasons.size(),
               reasons.size() == 1 ? "" : "s");
    for (const std::string& reason : reasons) {
      // Reasons begin with where they are: with the file, which stands above them all.
      const std::size_t start = reason.starts_with(file) ? reason.find(' ', file.size()) + 1 : 0;
      fmt::print("  {}\n", reason.substr(start));
    }
    return false;
  }
  fmt::print("{}: can be served: {}\n", file, served);
  if (options.precision == Precision::kFloat32) return true;
  try {
    if (report_error(*model, options)) return true;
  } catch (const Error& error) {
    throw error.within(file);
  }
  fmt::print("  the error is larger than {:g} of the largest value\n", *options.tolerance);
  return false;
}

int check(const Options& options) {
  int code = kSuccess;
  for (const std::string& file : options.files) {
    if (!check_file(file, options)) code = kRejected;
  }
  return code;
}

}  // namespace

void add_check(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("check", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", options->files, "a model file or folder of any kind")->required();
  CLI::Option* precision = add_precision_option(command, options->precision);
  CLI::Option* inputs =
      command
          .add_option("--inputs", options->inputs,
                      "samples to measure the error on: arrays with the names of the inputs")
          ->needs(precision)
          ->type_name("FILE.npz");
  command.add_option("--batch", options->batch, "made-up samples, otherwise")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 30))
      ->excludes(inputs)
      ->needs(precision)
      ->type_name("N");
  add_tensor_option(command, "--shape", options->shapes, "D0,D1,...",
                    "shape of a made-up input, batch included, in place of --batch")
      ->excludes(inputs)
      ->needs(precision);
  command
      .add_option("--tolerance", options->tolerance,
                  "the exit code is 1 if an output's error, by its largest value, is larger")
      ->check(CLI::NonNegativeNumber)
      ->needs(precision)
      ->type_name("SHARE");
  add_extension_options(command, options->extensions);
  command.callback([=, &chosen] { chosen = [options] { return check(*options); }; });
}

}  // namespace kerf::cli
