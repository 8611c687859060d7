#include "layers/base_call.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "kerf/error.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;

void collect(const json::value& value, std::vector<std::size_t>& found) {
  if (const json::array* array = value.if_array()) {
    for (const json::value& entry : *array) collect(entry, found);
  } else if (const json::object* object = value.if_object()) {
    if (const json::value* tensor = object->if_contains("tensor")) {
      found.push_back(tensor->to_number<std::size_t>());
    } else {
      for (const auto& entry : *object) collect(entry.value(), found);
    }
  }
}

}  // namespace

std::string describe(const graph::Layer& layer) {
  return fmt::format("{} '{}' ({})", layer.operation ? "operation" : "layer", layer.path,
                     layer.class_name);
}

std::vector<std::size_t> tensors_in(const json::value& tree) {
  std::vector<std::size_t> found;
  collect(tree, found);
  return found;
}

std::vector<std::size_t> tensors_at(const json::object& arguments, std::size_t position) {
  const json::value* args = arguments.if_contains("args");
  if (args == nullptr || !args->is_array() || args->get_array().size() <= position) return {};
  return tensors_in(args->get_array()[position]);
}

std::vector<std::size_t> tensors_at(const json::object& arguments, std::string_view name) {
  const json::value* kwargs = arguments.if_contains("kwargs");
  if (kwargs == nullptr || !kwargs->is_object()) return {};
  const json::value* value = kwargs->get_object().if_contains(name);
  return value == nullptr ? std::vector<std::size_t>{} : tensors_in(*value);
}

BaseCall::BaseCall(const graph::Layer& layer, const json::object& arguments,
                   program::ProgramBuilder& ops)
    : layer_(layer),
      arguments_(arguments),
      ops_(ops),
      config_(layer.config, describe(layer)),
      inputs_(tensors_at(arguments, 0)),
      explicit_masks_(tensors_at(arguments, "mask")) {}

ValueId BaseCall::input(std::size_t i) {
  if (i >= inputs_.size()) {
    throw Error(ErrorCode::kInvalidFile, fmt::format("it needs at least {} input tensors", i + 1),
                describe(layer_));
  }
  return argument_tensor(inputs_[i]);
}

std::vector<std::size_t> BaseCall::argument(std::string_view name, std::size_t position) const {
  std::vector<std::size_t> found = tensors_at(arguments_, name);
  return found.empty() && position != kKeyword ? tensors_at(arguments_, position) : found;
}

bool BaseCall::has_mask(std::size_t i) const {
  return i < explicit_masks_.size() || (i < inputs_.size() && travels(inputs_[i]));
}

std::optional<ValueId> BaseCall::mask(std::size_t i) {
  if (i < explicit_masks_.size()) return argument_tensor(explicit_masks_[i]);
  return i < inputs_.size() ? argument_mask(inputs_[i]) : std::nullopt;
}

std::optional<ValueId> BaseCall::argument_mask(std::size_t i) {
  return travels(i) ? std::optional(travelling_mask(i)) : std::nullopt;
}

void BaseCall::output(ValueId value, std::optional<ValueId> mask) {
  outputs_.push_back({.value = value, .mask = mask, .passes_mask_of = {}});
}

void BaseCall::output_passing_mask(ValueId value, std::size_t from_input) {
  std::optional<std::size_t> source;
  if (from_input < explicit_masks_.size()) {
    outputs_.push_back({.value = value, .mask = mask(from_input), .passes_mask_of = {}});
    return;
  }
  if (from_input < inputs_.size() && travels(inputs_[from_input])) source = inputs_[from_input];
  outputs_.push_back({.value = value, .mask = {}, .passes_mask_of = source});
}

}  // namespace kerf::layers
