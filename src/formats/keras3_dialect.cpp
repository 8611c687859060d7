#include "formats/keras3_dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <initializer_list>
#include <map>

#include "kerf/error.h"
#include "layers/model_spec.h"
#include "layers/registry.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;

// Below which paths the weights of a layer, or of a part of it, stand: "" or "forward_layer/".
using Prefixes = std::vector<std::string>;

bool is_text(const json::value* value, std::string_view text) {
  return value != nullptr && value->is_string() && value->get_string() == text;
}

bool only_for_training(std::string_view key) {
  return key.ends_with("_initializer") || key.ends_with("_regularizer") ||
         key.ends_with("_constraint");
}

// hard_sigmoid(1.2 x) of Keras 3 is that of Keras 2 of x: multiplies what makes x. `gates` are the
// blocks of the last axis to multiply, of `count`.
Tensor multiplied(const Tensor& weight, std::size_t count,
                  std::initializer_list<std::size_t> gates) {
  const Tensor source = weight.cast(DType::kFloat32);
  std::vector<float> values(source.as<float>().begin(), source.as<float>().end());
  const auto width = static_cast<std::size_t>(source.shape().back());
  if (width == 0) return weight;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t gate = i % width / std::max<std::size_t>(width / count, 1);
    if (std::ranges::find(gates, gate) != gates.end()) values[i] *= kHardSigmoidScale;
  }
  return Tensor::floats(source.shape(), values).cast(weight.dtype());
}

class Translation {
 public:
  explicit Translation(const graph::Layer& layer)
      : layer_(layer), result_{layer.class_name, layer.config, layer.weights} {}

  Keras3Layer whole() {
    translate(result_.class_name, result_.config, {""});
    return std::move(result_);
  }

 private:
  // Rewrites the class and the configuration of the layer or of a part of it.
  void translate(std::string& class_name, json::object& config, const Prefixes& prefixes) {
    constexpr std::array kGone{"Highway",     "LocallyConnected1D", "LocallyConnected2D",
                               "MaxoutDense", "ParametricSoftplus", "RandomFourierFeatures",
                               "SReLU",       "TernaryDense"};
    if (std::ranges::find(kGone, class_name) != kGone.end()) {
      unsupported(fmt::format("Keras 3 has no layer that computes what {} does", class_name));
    }
    if (class_name == "Lambda") {
      unsupported("its Python code is of another age, and more than operations of Keras 3");
    }
    json::object kept;
    for (const auto& entry : config) {
      if (!only_for_training(entry.key())) kept[entry.key()] = entry.value();
    }
    for (const char* key : {"batch_input_shape", "input_shape", "input_dtype", "implementation",
                            "time_major", "input_length"}) {
      kept.erase(key);
    }
    config = std::move(kept);
    if (class_name != "Embedding") config.erase("input_dim");
    if (class_name.starts_with("Depthwise") || class_name.starts_with("Separable") ||
        class_name.ends_with("Transpose")) {
      config.erase("groups");
    }
    if (class_name.starts_with("SpatialDropout")) config.erase("trainable");
    if (class_name == "SpatialDropout1D") config.erase("data_format");
    // They change the sizes of images in training only.
    if (class_name == "RandomHeight" || class_name == "RandomWidth") {
      class_name = "Identity";
      config = {{"name", config["name"]}};
    }
    plain_dtype(config);
    json::value* axis = config.if_contains("axis");
    if (class_name == "BatchNormalization" && axis != nullptr && axis->is_array() &&
        axis->get_array().size() == 1) {
      const json::value only = axis->get_array().front();
      *axis = only;
    }
    if (class_name.starts_with("GRU") && !config.contains("reset_after")) {
      config["reset_after"] = false;
    }
    translate_function(class_name, config);
    translate_activations(class_name, config, prefixes);
    translate_parts(class_name, config, prefixes);
  }

  [[noreturn]] void unsupported(std::string message, std::string_view field = {}) const {
    throw Error(ErrorCode::kUnsupported, std::move(message),
                fmt::format("layer '{}' ({}){}{}", layer_.path, layer_.class_name,
                            field.empty() ? "" : ", field ", field));
  }

  static void plain_dtype(json::object& config) {
    const json::value* dtype = config.if_contains("dtype");
    const json::object* policy = dtype != nullptr ? dtype->if_object() : nullptr;
    const json::value* inner = policy != nullptr ? policy->if_contains("config") : nullptr;
    const json::value* name =
        inner != nullptr && inner->is_object() ? inner->get_object().if_contains("name") : nullptr;
    if (name != nullptr) config["dtype"] = json::value(*name);
  }

  // Settings of a layer that is a function.
  static void translate_function(std::string& class_name, json::object& config) {
    if (class_name == "LeakyReLU" && config.contains("alpha")) {
      config["negative_slope"] = config["alpha"];
      config.erase("alpha");
    }
    if (class_name == "ThresholdedReLU") {
      class_name = "ReLU";
      config["threshold"] = config.contains("theta") ? config["theta"] : json::value(1.0);
      config["max_value"] = nullptr;
      config["negative_slope"] = 0.0;
      config.erase("theta");
    }
  }

  void translate_activations(const std::string& class_name, json::object& config,
                             const Prefixes& prefixes) {
    for (const char* key : {"activation", "recurrent_activation"}) {
      json::value* activation = config.if_contains(key);
      if (is_text(activation, "hard_sigmoid")) {
        multiply_weights(class_name, key, prefixes);
      }
      if (activation == nullptr || !activation->is_object()) continue;
      json::object& object = activation->get_object();
      json::value* inner = object.if_contains("config");
      const json::value* name = object.if_contains("class_name");
      if (inner == nullptr || !inner->is_object() || name == nullptr || !name->is_string()) {
        continue;
      }
      std::string function(name->get_string());
      translate_function(function, inner->get_object());
      object["class_name"] = function;
      object["module"] = "keras.layers";
      object["registered_name"] = nullptr;
    }
  }

  void multiply_weights(std::string_view class_name, std::string_view key,
                        const Prefixes& prefixes) {
    const bool lstm = class_name.find("LSTM") != std::string_view::npos;
    const bool gru = class_name.find("GRU") != std::string_view::npos;
    const bool gates = key == "recurrent_activation";
    if ((lstm || gru) != gates || (class_name == "Activation" && !prefixes.front().empty())) {
      unsupported(
          "Keras 3 computes hard_sigmoid differently from Keras 2, by which this model "
          "was trained",
          key);
    }
    for (graph::Weight& weight : result_.weights) {
      for (const std::string& prefix : prefixes) {
        if (!weight.name.starts_with(prefix)) continue;
        std::string_view name = std::string_view(weight.name).substr(prefix.size());
        if (name.starts_with("cell/")) name.remove_prefix(5);
        if (name != "kernel" && name != "recurrent_kernel" && name != "bias" &&
            name != "pointwise_kernel" &&
            !(name == "depthwise_kernel" && class_name.starts_with("Depthwise"))) {
          continue;
        }
        if (lstm) {
          weight.value = multiplied(weight.value.elements(), 4, {0, 1, 3});  // i, f and o, not c
        } else if (gru) {
          weight.value = multiplied(weight.value.elements(), 3, {0, 1});  // z and r, not h
        } else {
          weight.value = multiplied(weight.value.elements(), 1, {0});
        }
        break;
      }
    }
  }

  // What a layer holds: another layer, a cell, cells.
  void translate_parts(const std::string& class_name, json::object& config,
                       const Prefixes& prefixes) {
    const auto below = [&](std::initializer_list<std::string_view> names) {
      Prefixes all;
      for (const std::string& prefix : prefixes) {
        for (const std::string_view name : names) all.push_back(fmt::format("{}{}/", prefix, name));
      }
      return all;
    };
    if (json::value* part = config.if_contains("layer")) {
      const bool both = class_name == "Bidirectional" && !config.contains("backward_layer");
      translate_part(*part, class_name != "Bidirectional" ? below({"layer"})
                            : both ? below({"forward_layer", "backward_layer"})
                                   : below({"forward_layer"}));
    }
    if (json::value* part = config.if_contains("backward_layer")) {
      translate_part(*part, below({"backward_layer"}));
    }
    if (json::value* part = config.if_contains("cell")) translate_part(*part, below({"cell"}));
    json::value* cells = config.if_contains("cells");
    if (cells == nullptr || !cells->is_array()) return;
    std::map<std::string, int> counts;
    for (json::value& cell : cells->get_array()) {
      const json::object* object = cell.if_object();
      const json::value* name = object != nullptr ? object->if_contains("class_name") : nullptr;
      const std::string folder = layers::layer_folder(
          name != nullptr && name->is_string() ? std::string(name->get_string()) : "");
      const int number = counts[folder]++;
      translate_part(cell, below({number == 0 ? fmt::format("cells/{}", folder)
                                              : fmt::format("cells/{}_{}", folder, number)}));
    }
  }

  void translate_part(json::value& value, const Prefixes& prefixes) {
    json::object* object = value.if_object();
    const json::value* name = object != nullptr ? object->if_contains("class_name") : nullptr;
    json::value* config = object != nullptr ? object->if_contains("config") : nullptr;
    if (name == nullptr || !name->is_string() || config == nullptr || !config->is_object()) return;
    if (config->get_object().contains("layers")) {
      unsupported("kerf cannot write a model that stands inside a layer of a Keras 2 file");
    }
    std::string class_name(name->get_string());
    translate(class_name, config->get_object(), prefixes);
    (*object)["class_name"] = class_name;
    (*object)["module"] = "keras.layers";
    (*object)["registered_name"] = nullptr;
  }

  const graph::Layer& layer_;
  Keras3Layer result_;
};

// Keras keeps the wrapped layer's kernel here too, and the vector that training would go on from:
// it finds its direction from any.
void add_spectral_weights(std::vector<graph::Weight>& weights) {
  const auto kernel = std::ranges::find_if(weights, [](const graph::Weight& weight) {
    return weight.name == "layer/kernel" || weight.name == "layer/embeddings";
  });
  if (kernel == weights.end()) return;
  const std::int64_t width = kernel->value.shape().back();
  const std::vector<float> ones(static_cast<std::size_t>(width), 1);
  const Constant copy = kernel->value;
  weights.push_back({.name = "kernel", .value = copy});
  weights.push_back({.name = "vector_u", .value = Tensor::floats({1, width}, ones)});
}

}  // namespace

Keras3Layer keras3_layer(const graph::Layer& layer) {
  Keras3Layer result = layer.keras_major < 3 && !layer.operation
                           ? Translation(layer).whole()
                           : Keras3Layer{layer.class_name, layer.config, layer.weights};
  if (layer.class_name == "SpectralNormalization") add_spectral_weights(result.weights);
  const layers::LayerDefinition* definition =
      layers::Registry::instance().find(layer.class_name, layer.operation);
  if (definition != nullptr && !definition->alias_of.empty()) {
    result.class_name = definition->alias_of;
  }
  return result;
}

bool is_old_hard_sigmoid(const graph::Layer& layer) {
  return layer.keras_major < 3 && layer.class_name == "Activation" &&
         is_text(layer.config.if_contains("activation"), "hard_sigmoid");
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
