#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace kerf::cli {

// How help is laid out: in the list of commands the first sentence of each; of an option its
// argument, what it is for, and its default.
class HelpFormatter : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(30); }

  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
  std::string make_option_desc(const CLI::Option* option) const override;
};

}  // namespace kerf::cli
