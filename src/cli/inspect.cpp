#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/load.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Show the layers, addresses and cut points of a model. A cut point is a tensor that alone is
enough to compute every output; shown with it are the bytes that would travel there, and the
work before and after it.)";

constexpr auto kExamples = R"(Examples:
  kerf inspect recommender.keras
  kerf inspect recommender.keras --json | jq '.tensors[].address'
  kerf inspect recommender.keras --dot | dot -Tsvg > recommender.svg
  kerf inspect recommender.keras --program --feed concat     what kerf runs for this cut, as ops)";

struct Options {
  std::string model;
  config::ExtensionList extensions;
  bool json = false;
  bool dot = false;
  bool program = false;
  std::vector<std::string> feeds;
  std::vector<std::string> fetches;
  Precision precision = Precision::kFloat32;
};

int inspect(const Options& options) {
  const Model model = load_model(options.model, options.extensions, options.precision);
  if (options.json) {
    fmt::print("{}\n", model.to_json());
  } else if (options.dot) {
    fmt::print("{}", model.to_dot());
  } else if (options.program) {
    fmt::print("{}", model.cut(options.feeds, options.fetches).program_text());
  } else {
    fmt::print("{}", model.summary());
  }
  return kSuccess;
}

}  // namespace

void add_inspect(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("inspect", kHelp);
  command.footer(kExamples);
  command.add_option("MODEL", options->model, "a model file or folder of any kind")->required();
  CLI::Option* json = command.add_flag("--json", options->json, "the whole graph as JSON");
  CLI::Option* dot =
      command.add_flag("--dot", options->dot, "the graph for Graphviz")->excludes(json);
  CLI::Option* program = command
                             .add_flag("--program", options->program,
                                       "the ops that a cut is compiled to, after all passes")
                             ->excludes(json)
                             ->excludes(dot);
  const auto [feed, fetch] = add_cut_options(command, options->feeds, options->fetches);
  feed->needs(program);
  fetch->needs(program);
  add_precision_option(command, options->precision);
  add_extension_options(command, options->extensions);
  command.callback([=, &chosen] { chosen = [options] { return inspect(*options); }; });
}

}  // namespace kerf::cli
