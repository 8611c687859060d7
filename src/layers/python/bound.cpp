#include "layers/python/bound.h"

#include <fmt/format.h>

#include <algorithm>

namespace kerf::layers::python {

Bound::Bound(Evaluator& evaluator, const std::string& path, const std::vector<Value>& arguments,
             const Keywords& keywords, const std::vector<std::string_view>& parameters)
    : evaluator_(evaluator), path_(path) {
  if (arguments.size() > parameters.size()) {
    evaluator.refuse(fmt::format("it calls {} with {} arguments", path, arguments.size()));
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) values_[parameters[i]] = &arguments[i];
  for (const auto& [name, value] : keywords) {
    const auto known = std::ranges::find(parameters, std::string_view(name));
    if (known != parameters.end()) {
      values_[*known] = &value;
    } else if (name != "name" && !value.is<NoneValue>()) {
      evaluator.refuse(
          fmt::format("it calls {} with an argument {}, which kerf does not know", path, name));
    }
  }
}

bool Bound::has(std::string_view name) const {
  const auto it = values_.find(name);
  return it != values_.end() && !it->second->is<NoneValue>();
}

const Value& Bound::at(std::string_view name) const {
  const auto it = values_.find(name);
  if (it == values_.end()) {
    evaluator_.refuse(fmt::format("it calls {} without the argument {}", path_, name));
  }
  return *it->second;
}

Value Bound::get(std::string_view name, Value fallback) const {
  const auto it = values_.find(name);
  return it == values_.end() ? fallback : *it->second;
}

}  // namespace kerf::layers::python
