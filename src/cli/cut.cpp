#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/load.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Write a part of a model as a model of its own. What lies between the tensors that are fed
and those that are fetched becomes a .keras file with the weights it needs, which kerf and
Keras 3 read.)";

constexpr auto kExamples = R"(Examples:
  kerf cut recommender.keras --fetch concat -o head.keras          from the inputs to concat
  kerf cut recommender.keras --feed concat -o tail.keras           from concat to the outputs
  kerf cut recommender.keras --feed concat --fetch dense_hidden -o middle.keras)";

struct Options {
  std::string model;
  config::ExtensionList extensions;
  std::vector<std::string> feeds;
  std::vector<std::string> fetches;
  std::string output;
};

int cut(const Options& options) {
  const Model model = load_model(options.model, options.extensions);
  const Cut part = model.cut(options.feeds, options.fetches);
  part.write(options.output);
  fmt::print("{}: {} -> {} ({} bytes)\n", options.output, describe_ports(part.feeds()),
             describe_ports(part.fetches()), std::filesystem::file_size(options.output));
  return kSuccess;
}

}  // namespace

void add_cut(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("cut", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", options->model, "a model file or folder of any kind")->required();
  add_cut_options(command, options->feeds, options->fetches);
  command.add_option("-o,--output", options->output, "the file to write")
      ->required()
      ->type_name("FILE.keras");
  add_extension_options(command, options->extensions);
  command.callback([=, &chosen] { chosen = [options] { return cut(*options); }; });
}

}  // namespace kerf::cli
