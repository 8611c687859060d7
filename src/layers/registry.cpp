#include "layers/registry.h"

#include <stdexcept>
#include <utility>

namespace kerf::layers {

void register_all(Registry& registry);

const Registry& Registry::instance() {
  static const Registry registry = [] {
    Registry built;
    register_all(built);
    return built;
  }();
  return registry;
}

void Registry::add(LayerDefinition definition) {
  std::pair key(definition.class_name, definition.operation);
  if (!definitions_.emplace(std::move(key), std::move(definition)).second) {
    throw std::logic_error("a layer class is registered twice");
  }
}

void Registry::add_alias(std::string alias, std::string_view class_name) {
  LayerDefinition definition = *find(class_name, false);
  definition.class_name = std::move(alias);
  definition.note = "another name";
  definition.alias_of = std::string(class_name);
  add(std::move(definition));
}

const LayerDefinition* Registry::find(std::string_view class_name, bool operation) const {
  const auto it = definitions_.find(std::pair(std::string(class_name), operation));
  return it == definitions_.end() ? nullptr : &it->second;
}

std::vector<const LayerDefinition*> Registry::definitions(bool operations) const {
  std::vector<const LayerDefinition*> found;
  for (const auto& [key, definition] : definitions_) {
    if (definition.operation == operations) found.push_back(&definition);
  }
  return found;
}

}  // namespace kerf::layers
