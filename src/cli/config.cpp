#include "config/config.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <memory>

#include "cli/command.h"

namespace kerf::cli {
namespace {

int check(const std::filesystem::path& file) {
  const config::Config config = config::read_config(file);
  fmt::print("{}: good, with {} places of models and {} keys\n", file.string(),
             config.specs().size(), config.auth.keys.size());
  return kSuccess;
}

}  // namespace

void add_config(CLI::App& app, Action& chosen) {
  CLI::App& command = *app.add_subcommand("config", "Check a configuration of `kerf serve`.");
  command.require_subcommand(1);
  const auto file = std::make_shared<std::filesystem::path>();
  CLI::App& checking = *command.add_subcommand(
      "check", "Read a configuration file, and say everything that is wrong with it.");
  checking.add_option("FILE", *file, "a configuration file")->required();
  checking.callback([=, &chosen] { chosen = [file] { return check(*file); }; });
  CLI::App& reference = *command.add_subcommand(
      "reference", "Print every key of a configuration, what it means, and its default.");
  reference.callback([&chosen] {
    chosen = [] {
      fmt::print("{}", config::reference());
      return static_cast<int>(kSuccess);
    };
  });
}

}  // namespace kerf::cli
