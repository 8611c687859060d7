#include "cli/help.h"

#include <algorithm>
#include <sstream>

namespace kerf::cli {

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  std::string text = command->get_description();
  const std::size_t end = std::min(text.find(". "), text.find(".\n"));
  text = text.substr(0, end == std::string::npos ? end : end + 1);
  std::ranges::replace(text, '\n', ' ');
  std::ostringstream line;
  CLI::detail::format_help(line, command->get_display_name(true), text, get_column_width());
  return line.str();
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  if (option->get_positional() || option->get_type_size() == 0) return "";
  const std::string type = option->get_type_name();
  return " " + type.substr(0, type.find(':'));  // what follows is what the value is checked for
}

std::string HelpFormatter::make_option_desc(const CLI::Option* option) const {
  const std::string standard = option->get_default_str();
  return option->get_description() + (standard.empty() ? "" : " (default: " + standard + ")");
}

}  // namespace kerf::cli
