#include <fmt/format.h>

#include "cli/command.h"
#include "model/support_page.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Print what kerf reads and runs: files, layers with the options that are refused, operations.
In Markdown; this is docs/support.md.)";

constexpr auto kExamples = R"(Examples:
  kerf layers | grep -i pooling)";

int layers() {
  fmt::print("{}", support_page());
  return kSuccess;
}

}  // namespace

void add_layers(CLI::App& app, Action& chosen) {
  CLI::App& command = *app.add_subcommand("layers", kHelp);
  command.footer(kExamples);
  command.callback([&chosen] { chosen = layers; });
}

}  // namespace kerf::cli
