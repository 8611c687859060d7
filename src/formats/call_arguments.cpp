#include "formats/call_arguments.h"

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <string>

namespace kerf::formats {
namespace {

namespace json = boost::json;

// i of {"tensor": i}.
std::optional<std::size_t> tensor_index(const json::value& value) {
  const json::object* object = value.if_object();
  const json::value* tensor = object == nullptr ? nullptr : object->if_contains("tensor");
  if (tensor == nullptr || !tensor->is_number()) return std::nullopt;
  return tensor->to_number<std::size_t>();
}

void collect(const json::value& value, std::vector<std::size_t>& found) {
  if (const auto index = tensor_index(value)) {
    found.push_back(*index);
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& entry : *array) collect(entry, found);
  } else if (const json::object* object = value.if_object()) {
    std::map<std::string, const json::value*> sorted;
    for (const auto& entry : *object) sorted.emplace(entry.key(), &entry.value());
    for (const auto& [key, entry] : sorted) collect(*entry, found);
  }
}

void renumber(json::value& value, std::size_t dropped) {
  if (const auto index = tensor_index(value)) {
    if (*index > dropped) value.get_object()["tensor"] = *index - 1;
  } else if (json::array* array = value.if_array()) {
    for (json::value& entry : *array) renumber(entry, dropped);
  } else if (json::object* object = value.if_object()) {
    for (auto& entry : *object) renumber(entry.value(), dropped);
  }
}

const json::value* keyword_mask(const json::object& arguments) {
  const json::value* kwargs = arguments.if_contains("kwargs");
  return kwargs != nullptr && kwargs->is_object() ? kwargs->get_object().if_contains("mask")
                                                  : nullptr;
}

// The call that made a tensor, if it is of this operation, on one tensor.
const graph::Call* operation(const graph::Graph& graph, graph::TensorId tensor,
                             std::string_view class_name) {
  const graph::CallId producer = graph.tensor(tensor).producer;
  if (producer == graph::kNone) return nullptr;
  const graph::Call& call = graph.call(producer);
  const graph::Layer& layer = graph.layer_of(call);
  const bool fits = layer.operation && layer.class_name == class_name && call.inputs.size() == 1;
  return fits ? &call : nullptr;
}

// Whether a call is not_equal(source, value).
bool differs_from(const graph::Call& call, graph::TensorId source, const json::value& value) {
  const json::value* args = call.arguments.if_contains("args");
  if (args == nullptr || !args->is_array() || args->get_array().size() != 2) return false;
  const json::array& array = args->get_array();
  return call.inputs.front() == source && tensor_index(array[0]) == 0 && array[1].is_number() &&
         value.is_number() && array[1].to_number<double>() == value.to_number<double>();
}

}  // namespace

std::vector<std::size_t> first_tensors(const json::object& arguments) {
  std::vector<std::size_t> found;
  const json::value* args = arguments.if_contains("args");
  if (args != nullptr && args->is_array() && !args->get_array().empty()) {
    collect(args->get_array().front(), found);
  }
  return found;
}

std::optional<std::size_t> mask_tensor(const json::object& arguments) {
  const json::value* mask = keyword_mask(arguments);
  return mask == nullptr ? std::nullopt : tensor_index(*mask);
}

void drop_mask(json::object& arguments) {
  const auto dropped = mask_tensor(arguments);
  if (!dropped) return;
  arguments["kwargs"].get_object()["mask"] = nullptr;
  for (auto& entry : arguments) renumber(entry.value(), *dropped);
}

bool is_copy_of_mask(const graph::Graph& graph, graph::TensorId computed, graph::TensorId mask) {
  if (!graph.tensor(mask).mask) return false;
  const graph::Call& maker = graph.call(graph.tensor(mask).producer);
  const graph::Layer& layer = graph.layer_of(maker);
  if (layer.class_name == "Embedding") {
    const graph::Call* differs = operation(graph, computed, "NotEqual");
    return differs != nullptr && differs_from(*differs, maker.inputs.front(), 0);
  }
  if (layer.class_name != "Masking") return false;
  const graph::Call* any = operation(graph, computed, "Any");
  if (any == nullptr) return false;
  const json::object& config = graph.layer_of(*any).config;
  const json::value* axis = config.if_contains("axis");
  const json::value* keep = config.if_contains("keepdims");
  const bool last = axis != nullptr && axis->is_int64() && axis->get_int64() == -1;
  if (!last || (keep != nullptr && keep->is_bool() && keep->get_bool())) return false;
  const graph::Call* differs = operation(graph, any->inputs.front(), "NotEqual");
  const json::value* value = layer.config.if_contains("mask_value");
  return differs != nullptr &&
         differs_from(*differs, maker.inputs.front(), value == nullptr ? json::value(0) : *value);
}

}  // namespace kerf::formats
