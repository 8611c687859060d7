#include "layers/foreign_function.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "kerf/error.h"

namespace kerf::layers {

namespace json = boost::json;

void fail_at(const std::string& where, std::string message) {
  throw Error(ErrorCode::kUnsupported, std::move(message), where);
}

bool is_true(const Arguments& arguments, std::string_view name) {
  const auto it = arguments.find(name);
  return it != arguments.end() && it->second.is_bool() && it->second.get_bool();
}

void default_to(Arguments& arguments, const char* name, json::value value) {
  arguments.try_emplace(name, std::move(value));
}

void require(Arguments& arguments, std::string_view name, double neutral,
             const std::string& where) {
  const auto it = arguments.find(name);
  if (it == arguments.end()) return;
  const json::value& value = it->second;
  if (!value.is_number() || value.to_number<double>() != neutral) {
    fail_at(where, fmt::format("its argument {} is not {:g}", name, neutral));
  }
  arguments.erase(it);
}

OperationCall translated(const ForeignFunction& function, const json::array& args,
                         const json::object& kwargs, const std::string& where) {
  Arguments arguments;
  if (args.size() > function.parameters.size()) {
    fail_at(where, fmt::format("it is called with {} arguments by position", args.size()));
  }
  for (std::size_t i = 0; i < args.size(); ++i) {
    if (!args[i].is_null()) arguments.emplace(function.parameters[i].ours, args[i]);
  }
  for (const auto& entry : kwargs) {
    const auto parameter =
        std::ranges::find(function.parameters, std::string_view(entry.key()), &Parameter::theirs);
    if (entry.value().is_null()) continue;
    if (parameter != function.parameters.end()) {
      arguments.emplace(parameter->ours, entry.value());
    } else if (entry.key() != "name" && entry.value() != json::value(false)) {
      fail_at(where,
              fmt::format("kerf does not know its argument {}", std::string_view(entry.key())));
    }
  }
  OperationCall call{.class_name = std::string(function.class_name), .config = {}, .args = {}};
  if (function.adapt != nullptr) function.adapt(arguments, call.class_name, where);
  for (const Parameter& parameter : function.parameters) {
    if (parameter.option) continue;
    const auto it = arguments.find(parameter.ours);
    call.args.push_back(it == arguments.end() ? json::value(nullptr) : it->second);
    if (it != arguments.end()) arguments.erase(it);
  }
  while (!call.args.empty() && call.args.back().is_null()) call.args.pop_back();
  for (auto& [name, value] : arguments) call.config[name] = std::move(value);
  return call;
}

}  // namespace kerf::layers
