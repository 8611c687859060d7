#include "layers/dtype_policy.h"

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string_view>

namespace kerf::layers {
namespace {

namespace json = boost::json;

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// The dtype that a policy computes in, where it is a floating one.
std::optional<DType> compute_dtype(std::string_view policy) {
  if (const auto from = policy.find("_from_"); from != std::string_view::npos) {
    policy.remove_prefix(from + 6);
  }
  if (policy.starts_with("mixed_")) policy.remove_prefix(6);
  const auto dtype = dtype_from_name(policy);
  return dtype && is_floating(*dtype) ? dtype : std::nullopt;
}

DType reported(const graph::Graph& graph, graph::TensorId id, int depth) {
  const graph::GraphTensor& tensor = graph.tensor(id);
  if (tensor.dtype != DType::kFloat32 || tensor.producer == graph::kNone) return tensor.dtype;
  const graph::Call& call = graph.call(tensor.producer);
  const graph::Layer& layer = graph.layer_of(call);
  const json::value* dtype = layer.config.if_contains("dtype");
  if (!layer.operation || layer.class_name == "Cast") {
    const std::string name = dtype == nullptr ? "" : policy_name(*dtype, layer.path);
    return compute_dtype(name).value_or(DType::kFloat32);
  }
  // Of operands of one type, that type. Chains of operations are followed as far as they are sane.
  constexpr int kDeepest = 200;
  std::optional<DType> common;
  for (const graph::TensorId input : call.inputs) {
    if (!is_floating(graph.tensor(input).dtype)) continue;
    const DType own = depth < kDeepest ? reported(graph, input, depth + 1) : DType::kFloat32;
    if (common && *common != own) return DType::kFloat32;
    common = own;
  }
  return common.value_or(DType::kFloat32);
}

}  // namespace

// A map's keys are paths in Keras, which begin with names that kerf does not see.
std::string policy_name(const json::value& policy, const std::string& path) {
  if (policy.is_string()) return std::string(policy.get_string());
  const json::object* object = policy.if_object();
  const json::object* config = object == nullptr ? nullptr : object_at(*object, "config");
  if (config == nullptr) return {};
  if (const json::object* map = object_at(*config, "policy_map")) {
    for (const auto& entry : *map) {
      const std::string key(entry.key());
      if (key == path || key.ends_with("/" + path) || path.ends_with("/" + key)) {
        return policy_name(entry.value(), path);
      }
    }
    const json::value* otherwise = config->if_contains("default_policy");
    return otherwise == nullptr ? std::string() : policy_name(*otherwise, path);
  }
  const std::string mode = text_at(*config, "mode");
  if (mode.empty()) return text_at(*config, "name");
  return fmt::format("{}_from_{}", mode, text_at(*config, "source_name"));
}

DType reported_dtype(const graph::Graph& graph, graph::TensorId tensor) {
  return reported(graph, tensor, 0);
}

}  // namespace kerf::layers
