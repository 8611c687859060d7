#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "config/extension_list.h"
#include "kerf/model.h"

namespace kerf::cli {

// What several commands share: options, and the forms in which tensors are named and shown.

struct CutOptionsAdded {
  CLI::Option* feed;
  CLI::Option* fetch;
};
// Adds --feed and --fetch, the addresses of a cut.
CutOptionsAdded add_cut_options(CLI::App& command, std::vector<std::string>& feeds,
                                std::vector<std::string>& fetches);

// Adds an option that may be given once per tensor, as NAME=`value_name`; whatever is not of that
// form is refused while the command line is parsed.
CLI::Option* add_tensor_option(CLI::App& command, const std::string& option,
                               std::vector<std::string>& values, const std::string& value_name,
                               const std::string& help);

// Adds --precision.
CLI::Option* add_precision_option(CLI::App& command, Precision& precision);

// Adds --alias and --plugin.
void add_extension_options(CLI::App& command, config::ExtensionList& extensions);

// The halves of "NAME=VALUE", split at its first "=".
std::pair<std::string, std::string> name_and_value(const std::string& argument);

// "1,20" as a shape. Throws Error(kInvalidArgument) for anything but known dimensions; `name` is
// whose shape it is.
Shape parse_shape(const std::string& text, const std::string& name);

// "Segment int32 (?, 1), Features float32 (?, 10)".
std::string describe_ports(const std::vector<TensorInfo>& ports);

}  // namespace kerf::cli
