#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/progress.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Write a model of any kind and age as a .keras file, which Keras 3 loads. Layers and
functions of Keras 1 and 2 and of tf.keras become those of Keras 3 that compute the same;
what Keras 3 has no equal of is refused by name. Layers keep their names; those of nested
models become part of one graph, as encoder_dense for encoder/dense.)";

constexpr auto kExamples = R"(Examples:
  kerf convert old_model.h5 -o model.keras
  kerf convert saved_model/ -o model.keras                        a SavedModel of tf.keras
  kerf convert model.json --weights weights.h5 -o model.keras     what to_json() and save_weights() gave
  kerf convert tfjs/model.json -o model.keras)";

struct Options {
  std::string model;
  config::ExtensionList extensions;
  std::string weights;
  std::string output;
};

int convert(const Options& options) {
  Progress progress("reading " + std::filesystem::path(options.model).filename().string());
  const Model model =
      Model::load(options.model, {.progress = [&](double share) { progress.update(share); },
                                  .extensions = options.extensions.read(),
                                  .weights = options.weights});
  const Cut whole = model.whole();
  whole.write(options.output);
  fmt::print("{}: {} -> {} ({} bytes)\n", options.output, describe_ports(whole.feeds()),
             describe_ports(whole.fetches()), std::filesystem::file_size(options.output));
  return kSuccess;
}

}  // namespace

void add_convert(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("convert", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", options->model, "a model file or folder of any kind")->required();
  command
      .add_option("--weights", options->weights,
                  "the weights of a configuration in JSON, where they are not beside it by name")
      ->type_name("FILE");
  command.add_option("-o,--output", options->output, "the file to write")
      ->required()
      ->type_name("FILE.keras");
  add_extension_options(command, options->extensions);
  command.callback([=, &chosen] { chosen = [options] { return convert(*options); }; });
}

}  // namespace kerf::cli
