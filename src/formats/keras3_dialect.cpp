#include "formats/keras3_dialect.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;

bool is_text(const json::value* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->get_string() == text;
}

// Settings of an activation or of a layer that bears one.
void translate(const graph::Layer& layer, std::string_view class_name, json::object& config) {
  if (class_name == "LeakyReLU" && config.contains("alpha")) {
    config["negative_slope"] = config["alpha"];
    config.erase("alpha");
  }
  if (class_name == "ThresholdedReLU") {
    throw Error(ErrorCode::kUnsupported, "Keras 3 has no ThresholdedReLU",
                fmt::format("layer '{}'", layer.path));
  }
  for (const char* key : {"activation", "recurrent_activation"}) {
    json::value* activation = config.if_contains(key);
    if (is_text(activation, "hard_sigmoid")) {
      throw Error(ErrorCode::kUnsupported,
                  "Keras 3 computes hard_sigmoid differently from Keras 2, by which this model "
                  "was trained",
                  fmt::format("layer '{}', field {}", layer.path, key));
    }
    if (activation == nullptr || !activation->is_object()) continue;
    json::object& object = activation->get_object();
    json::value* inner = object.if_contains("config");
    const json::value* name = object.if_contains("class_name");
    if (inner == nullptr || !inner->is_object() || name == nullptr || !name->is_string()) continue;
    translate(layer, std::string_view(name->get_string()), inner->get_object());
    object["module"] = "keras.layers";
    object["registered_name"] = nullptr;
  }
}

bool only_for_training(std::string_view key) {
  return key.ends_with("_initializer") || key.ends_with("_regularizer") ||
         key.ends_with("_constraint");
}

// What a layer holds: another layer, a cell.
void translate_part(const graph::Layer& whole, json::value& value) {
  json::object* object = value.if_object();
  const json::value* name = object != nullptr ? object->if_contains("class_name") : nullptr;
  json::value* config = object != nullptr ? object->if_contains("config") : nullptr;
  if (name == nullptr || !name->is_string() || config == nullptr || !config->is_object()) return;
  if (config->get_object().contains("layers")) {
    throw Error(ErrorCode::kUnsupported,
                "kerf cannot write a model that stands inside a layer of a Keras 2 file",
                fmt::format("layer '{}' ({})", whole.path, whole.class_name));
  }
  graph::Layer part;
  part.path = whole.path;
  part.class_name = std::string(name->get_string());
  part.config = config->get_object();
  part.keras_major = whole.keras_major;
  *config = keras3_config(part);
  (*object)["module"] = "keras.layers";
  (*object)["registered_name"] = nullptr;
}

}  // namespace

json::object keras3_config(const graph::Layer& layer) {
  if (layer.keras_major >= 3) return layer.config;
  json::object config;
  for (const auto& entry : layer.config) {
    if (!only_for_training(entry.key())) config[entry.key()] = entry.value();
  }
  for (const char* key : {"batch_input_shape", "input_shape", "input_dtype", "implementation",
                          "time_major", "input_length"}) {
    config.erase(key);
  }
  if (layer.class_name != "Embedding") config.erase("input_dim");
  if (layer.class_name.starts_with("Depthwise") || layer.class_name.starts_with("Separable")) {
    config.erase("groups");
  }
  if (const json::value* dtype = config.if_contains("dtype")) {
    const json::object* policy = dtype->if_object();
    const json::value* inner = policy != nullptr ? policy->if_contains("config") : nullptr;
    const json::value* name =
        inner != nullptr && inner->is_object() ? inner->get_object().if_contains("name") : nullptr;
    if (name != nullptr) config["dtype"] = json::value(*name);
  }
  json::value* axis = config.if_contains("axis");
  if (layer.class_name == "BatchNormalization" && axis != nullptr && axis->is_array() &&
      axis->get_array().size() == 1) {
    const json::value only = axis->get_array().front();
    *axis = only;
  }
  if (layer.class_name.starts_with("GRU") && !config.contains("reset_after"))
    config["reset_after"] = false;
  translate(layer, layer.class_name, config);
  for (const char* key : {"layer", "backward_layer", "cell"}) {
    if (json::value* part = config.if_contains(key)) translate_part(layer, *part);
  }
  if (json::value* cells = config.if_contains("cells"); cells != nullptr && cells->is_array()) {
    for (json::value& cell : cells->get_array()) translate_part(layer, cell);
  }
  return config;
}

std::string python_json(const json::value& value) {
  if (const json::object* object = value.if_object()) {
    std::string text = "{";
    for (const auto& entry : *object) {
      if (text.size() > 1) text += ", ";
      text += json::serialize(json::value(entry.key())) + ": " + python_json(entry.value());
    }
    return text + "}";
  }
  if (const json::array* array = value.if_array()) {
    std::string text = "[";
    for (const json::value& entry : *array) {
      if (text.size() > 1) text += ", ";
      text += python_json(entry);
    }
    return text + "]";
  }
  for (const char* word : {"NaN", "Infinity", "-Infinity"}) {
    if (is_text(&value, word)) return word;
  }
  return json::serialize(value);
}

}  // namespace kerf::formats
