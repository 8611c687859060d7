#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/load.h"
#include "tensor/npy.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Run a model, or any part of it, on arrays from .npy files. Any tensor can be fed, and any
fetched. The results go to an .npz file, in which they are called by the addresses asked
for, or by the names of the model's outputs if none were.)";

constexpr auto kExamples = R"(Examples:
  kerf run recommender.keras --input Segment=ids.npy --input Features=x.npy --output y.npz
  kerf run recommender.keras --input Segment=ids.npy --input Features=x.npy \
      --fetch concat,dense_hidden --output features.npz
  kerf run recommender.keras --input concat=features.npy --output y.npz
Without --output, the results are described on stdout.)";

struct Options {
  std::string model;
  config::ExtensionList extensions;
  std::vector<std::string> inputs;
  std::vector<std::string> fetches;
  std::string output;
  unsigned threads = 0;
  Precision precision = Precision::kFloat32;
};

// In quotes, on one line, and cut where it is long. A terminal gets no control characters.
std::string quoted(std::string_view text) {
  constexpr std::size_t kLongest = 60;
  std::string result = "\"";
  for (const char c : text.substr(0, kLongest)) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      result += fmt::format("\\x{:02x}", static_cast<unsigned>(c));
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + (text.size() > kLongest ? "...\"" : "\"");
}

// The name, dtype, shape and first values of a tensor, on one line.
std::string preview(const std::string& name, const Tensor& tensor) {
  std::string text =
      fmt::format("{} {} {}:", name, dtype_name(tensor.dtype()), tensor.shape().to_string());
  constexpr std::size_t kShown = 10;
  if (tensor.dtype() == DType::kString) {
    const std::vector<std::string_view> strings = tensor.strings();
    for (std::size_t i = 0; i < std::min(strings.size(), kShown); ++i) {
      text += fmt::format(" {}", quoted(strings[i]));
    }
    return text + (strings.size() > kShown ? " ..." : "");
  }
  const Tensor values = tensor.cast(DType::kFloat64);
  const std::span<const double> all = values.as<double>();
  for (const double value : all.first(std::min(all.size(), kShown))) {
    text += fmt::format(" {:.7g}", value);
  }
  return text + (all.size() > kShown ? " ..." : "");
}

int run(const Options& options) {
  std::vector<std::string> names;
  std::vector<Tensor> tensors;
  for (const std::string& input : options.inputs) {
    const auto [name, file] = name_and_value(input);
    names.push_back(name);
    tensors.push_back(read_npy(file));
  }
  const Model model = load_model(options.model, options.extensions, options.precision);
  const Cut cut = model.cut(names, options.fetches, {.strict = false});
  for (const std::string& unused : cut.unused_feeds()) {
    fmt::print(stderr, "kerf: {}: it is fed, but nothing that is fetched needs it\n", unused);
  }
  const Threads threads(options.threads);
  const std::vector<Tensor> results = cut.run(tensors, &threads);
  NamedTensors arrays;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::string& name = cut.fetches()[i].name;
    if (options.output.empty()) fmt::print("{}\n", preview(name, results[i]));
    arrays.emplace_back(name, results[i]);
  }
  if (!options.output.empty()) write_npz(options.output, arrays);
  return kSuccess;
}

}  // namespace

void add_run(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("run", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", options->model, "a model file or folder of any kind")->required();
  add_tensor_option(command, "--input", options->inputs, "FILE.npy",
                    "an array and the tensor it is fed to (any address); once per tensor")
      ->required();
  command.add_option("--fetch", options->fetches, "tensors that are wanted (default: the outputs)")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("ADDRESS,...");
  command.add_option("-o,--output", options->output, "the file to write")->type_name("OUT.npz");
  command.add_option("--threads", options->threads, "cores to use (default: all)")
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
  add_precision_option(command, options->precision);
  add_extension_options(command, options->extensions);
  command.callback([=, &chosen] { chosen = [options] { return run(*options); }; });
}

}  // namespace kerf::cli
