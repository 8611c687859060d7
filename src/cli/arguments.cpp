#include "cli/arguments.h"

#include <fmt/format.h>

#include <charconv>

namespace kerf::cli {

CutOptionsAdded add_cut_options(CLI::App& command, std::vector<std::string>& feeds,
                                std::vector<std::string>& fetches) {
  const auto add = [&](const char* option, std::vector<std::string>& addresses, const char* help) {
    return command.add_option(option, addresses, help)
        ->delimiter(',')
        ->allow_extra_args(false)
        ->type_name("ADDRESS,...");
  };
  return {
      .feed = add("--feed", feeds, "tensors that are given (default: the inputs that are needed)"),
      .fetch = add("--fetch", fetches, "tensors that are wanted (default: the outputs)")};
}

CLI::Option* add_tensor_option(CLI::App& command, const std::string& option,
                               std::vector<std::string>& values, const std::string& value_name,
                               const std::string& help) {
  const std::string form = "NAME=" + value_name;
  return command.add_option(option, values, help)
      ->allow_extra_args(false)
      ->type_name(form)
      ->check([form](const std::string& argument) {
        const auto [name, value] = name_and_value(argument);
        return name.empty() || value.empty() ? fmt::format("{} is not {}", argument, form) : "";
      });
}

CLI::Option* add_precision_option(CLI::App& command, Precision& precision) {
  return command
      .add_option_function<std::string>(
          "--precision",
          [&precision](const std::string& name) { precision = *parse_precision(name); },
          "of weights and of their products: float32, bf16 or int8")
      ->default_str("float32")
      ->check(CLI::IsMember({"float32", "bf16", "int8"}))
      ->type_name("PRECISION");
}

void add_extension_options(CLI::App& command, config::ExtensionList& extensions) {
  command
      .add_option("--alias", extensions.aliases,
                  "a custom class or function, as in 'my>Gelu=x * sigmoid(1.7 * x)'; once per name")
      ->allow_extra_args(false)
      ->type_name("NAME=MEANING");
  command
      .add_option("--plugin", extensions.plugins,
                  "a shared library that says so; its code runs, so it has to be trusted")
      ->allow_extra_args(false)
      ->type_name("FILE.so");
}

std::pair<std::string, std::string> name_and_value(const std::string& argument) {
  const std::size_t equals = argument.find('=');
  if (equals == std::string::npos) return {argument, ""};
  return {argument.substr(0, equals), argument.substr(equals + 1)};
}

Shape parse_shape(const std::string& text, const std::string& name) {
  Shape shape;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    std::int64_t dimension = 0;
    const auto [next, failure] = std::from_chars(at, end, dimension);
    const bool more = next != end && *next == ',' && next + 1 != end;
    if (failure != std::errc{} || dimension < 0 || (next != end && !more)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("\"{}\" is not a shape: give its dimensions as in 1,20", text), name);
    }
    shape.push_back(dimension);
    at = more ? next + 1 : next;
  }
  return shape;
}

std::string describe_ports(const std::vector<TensorInfo>& ports) {
  std::string text;
  for (const TensorInfo& port : ports) {
    text += fmt::format("{}{} {} {}", text.empty() ? "" : ", ", port.name, dtype_name(port.dtype),
                        port.shape.to_string());
  }
  return text;
}

}  // namespace kerf::cli
