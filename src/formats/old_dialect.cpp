#include "formats/old_dialect.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <initializer_list>
#include <map>
#include <string_view>
#include <utility>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;

// Where a pointer to a member is held, members are set with at(): operator[] may move all of them,
// even if the one it names is there.

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

json::object* object_at(json::object& object, std::string_view key) {
  json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

// The layers of a model, which the configuration of an old Sequential is a bare list of.
json::array* layers_of(json::object& model) {
  json::value* config = model.if_contains("config");
  if (config == nullptr) return nullptr;
  if (json::array* array = config->if_array()) return array;
  json::object* object = config->if_object();
  json::value* layers = object != nullptr ? object->if_contains("layers") : nullptr;
  return layers != nullptr ? layers->if_array() : nullptr;
}

bool is_model(const std::string& class_name) {
  return class_name == "Sequential" || class_name == "Model" || class_name == "Functional";
}

// The cuDNN layers compute what the others do, with the activations that cuDNN has; how their
// weights stand is seen from the weights.
void translate_cudnn(json::object& layer) {
  const std::string name = text_of(layer, "class_name");
  json::object* config = object_at(layer, "config");
  if (config == nullptr || (name != "CuDNNLSTM" && name != "CuDNNGRU")) return;
  layer.at("class_name") = name.substr(5);
  (*config)["activation"] = "tanh";
  (*config)["recurrent_activation"] = "sigmoid";
  if (name == "CuDNNGRU") (*config)["reset_after"] = true;
}

const std::map<std::string, std::string, std::less<>>& renamed_classes() {
  static const std::map<std::string, std::string, std::less<>> kClasses{
      {"Convolution1D", "Conv1D"},
      {"Convolution2D", "Conv2D"},
      {"Convolution3D", "Conv3D"},
      {"AtrousConvolution1D", "Conv1D"},
      {"AtrousConvolution2D", "Conv2D"},
      {"SeparableConvolution2D", "SeparableConv2D"},
      // A Dense layer applies to every step.
      {"TimeDistributedDense", "Dense"}};
  return kClasses;
}

// Translates Keras 1, one file at a time.
class Keras1 {
 public:
  Keras1(std::string where, std::string ordering)
      : where_(std::move(where)), ordering_(std::move(ordering)) {}

  void translate_model(json::object& model) {
    json::array* layers = layers_of(model);
    if (layers == nullptr) return;
    if (!layers->empty() && text_of(model, "class_name") == "Sequential" &&
        is_merge((*layers)[0])) {
      model.at("config") = functional_of(*layers, text_of(model, "name"));
      model.at("class_name") = "Model";
      layers = layers_of(model);
    }
    for (json::value& layer : *layers) {
      if (json::object* object = layer.if_object()) translate_layer(*object);
    }
  }

 private:
  static bool is_merge(const json::value& layer) {
    return layer.is_object() && text_of(layer.get_object(), "class_name") == "Merge";
  }

  [[noreturn]] void unsupported(const json::object& config, std::string_view field,
                                std::string message) const {
    throw Error(ErrorCode::kUnsupported, std::move(message),
                fmt::format("{}, layer '{}', field {}", where_, text_of(config, "name"), field));
  }

  // A Sequential that begins with a Merge of branches, each a Sequential of its own: as a graph.
  json::object functional_of(const json::array& layers, const std::string& name) {
    json::array graph;
    json::array inputs;
    const std::string last = chain(layers, graph, inputs);
    json::object config;
    config["name"] = name.empty() ? "model" : name;
    config["layers"] = std::move(graph);
    config["input_layers"] = std::move(inputs);
    config["output_layers"] = list_of(reference(last));
    return config;
  }

  static json::array reference(const std::string& layer) {
    json::array reference;
    reference.emplace_back(layer);
    reference.emplace_back(0);
    reference.emplace_back(0);
    return reference;
  }

  // A list of one list: json::array{list} would be a copy of the list.
  static json::array list_of(json::array only) {
    json::array list;
    list.emplace_back(std::move(only));
    return list;
  }

  // Adds a Sequential's layers to the graph and returns the name of the last.
  std::string chain(const json::array& layers, json::array& graph, json::array& inputs) {
    std::string last;
    for (const json::value& entry : layers) {
      json::object layer = entry.is_object() ? entry.get_object() : json::object{};
      json::object* config = object_at(layer, "config");
      if (config == nullptr) {
        throw Error(ErrorCode::kUnsupported, "models inside of merged branches are not supported",
                    where_);
      }
      const std::string name = text_of(*config, "name");
      const bool first = last.empty();
      json::array node;
      if (first && is_merge(entry)) {
        const json::value* branches = config->if_contains("layers");
        if (branches == nullptr || !branches->is_array() || branches->get_array().empty()) {
          unsupported(*config, "layers", "it merges nothing");
        }
        for (const json::value& branch : branches->get_array()) {
          node.emplace_back(reference(branch_end(branch, graph, inputs)));
        }
      } else if (first) {
        const bool layer_is_input = text_of(layer, "class_name") == "InputLayer";
        const std::string input_name = layer_is_input ? name : name + "_input";
        json::object input;
        input["name"] = input_name;
        for (const char* key : {"batch_input_shape", "input_dtype"}) {
          if (const json::value* value = config->if_contains(key)) input[key] = *value;
        }
        inputs.emplace_back(reference(input_name));
        json::object input_layer;
        input_layer["class_name"] = "InputLayer";
        input_layer["name"] = input_name;
        input_layer["config"] = std::move(input);
        input_layer["inbound_nodes"] = json::array();
        graph.emplace_back(std::move(input_layer));
        last = input_name;
        if (layer_is_input) continue;
        node.emplace_back(reference(last));
      } else {
        node.emplace_back(reference(last));
      }
      layer["name"] = name;
      layer["inbound_nodes"] = list_of(std::move(node));
      graph.emplace_back(std::move(layer));
      last = name;
    }
    if (last.empty()) throw Error(ErrorCode::kInvalidFile, "a merged branch is empty", where_);
    return last;
  }

  std::string branch_end(const json::value& branch, json::array& graph, json::array& inputs) {
    json::object object = branch.is_object() ? branch.get_object() : json::object{};
    if (text_of(object, "class_name") == "Sequential") {
      if (const json::array* layers = layers_of(object)) return chain(*layers, graph, inputs);
    }
    json::array alone;
    alone.emplace_back(std::move(object));
    return chain(alone, graph, inputs);
  }

  void translate_layer(json::object& layer) {
    const std::string name = text_of(layer, "class_name");
    if (is_model(name)) {
      // A Sequential within a list of layers was saved without its name.
      const bool named = !text_of(layer, "name").empty();
      if (!named && layer.contains("config") && layer["config"].is_array()) {
        layer["name"] = fmt::format("sequential_{}", ++unnamed_);
      }
      translate_model(layer);
      return;
    }
    json::object* config = object_at(layer, "config");
    if (config == nullptr) return;
    if (json::object* inner = object_at(*config, "layer")) translate_layer(*inner);
    if (name == "Merge") {
      translate_merge(layer, *config);
      return;
    }
    const auto renamed = renamed_classes().find(name);
    if (renamed != renamed_classes().end()) layer.at("class_name") = renamed->second;
    translate_config(name, *config);
  }

  void translate_merge(json::object& layer, json::object& config) const {
    static const std::map<std::string, std::string, std::less<>> kModes{
        {"sum", "Add"},     {"mul", "Multiply"}, {"concat", "Concatenate"},
        {"ave", "Average"}, {"max", "Maximum"},  {"dot", "Dot"},
        {"cos", "Dot"}};
    const std::string mode = text_of(config, "mode");
    const auto known = kModes.find(mode);
    if (known == kModes.end() || text_of(config, "mode_type") == "lambda" ||
        text_of(config, "mode_type") == "function") {
      unsupported(config, "mode", "it merges by a Python function, which kerf never executes");
    }
    layer.at("class_name") = known->second;
    json::object merged;
    merged["name"] = text_of(config, "name");
    if (mode == "concat") {
      const json::value* axis = config.if_contains("concat_axis");
      merged["axis"] = axis != nullptr ? *axis : json::value(-1);
    }
    if (known->second == "Dot") {
      json::value axes = config.contains("dot_axes") ? config.at("dot_axes") : json::value(-1);
      // Each of the two may stand in a list of its own.
      if (json::array* array = axes.if_array()) {
        for (json::value& axis : *array) {
          if (axis.is_array() && axis.get_array().size() == 1) {
            const json::value only = axis.get_array()[0];
            axis = only;
          }
        }
      }
      merged["axes"] = std::move(axes);
      merged["normalize"] = mode == "cos";
    }
    config = std::move(merged);
  }

  static void rename(json::object& config, std::string_view from, std::string_view to) {
    json::value* value = config.if_contains(from);
    if (value == nullptr) return;
    json::value moved = std::move(*value);
    config.erase(from);
    config[to] = std::move(moved);
  }

  // Several keys become one list.
  static void gather(json::object& config, std::initializer_list<std::string_view> from,
                     std::string_view to) {
    json::array list;
    for (const std::string_view key : from) {
      const json::value* value = config.if_contains(key);
      if (value == nullptr) return;
      list.push_back(*value);
    }
    for (const std::string_view key : from) config.erase(key);
    config[to] = std::move(list);
  }

  void translate_config(const std::string& name, json::object& config) const {
    for (const char* key :
         {"init",         "inner_init",        "forget_bias_init", "gamma_init",
          "beta_init",    "W_regularizer",     "U_regularizer",    "b_regularizer",
          "W_constraint", "U_constraint",      "b_constraint",     "activity_regularizer",
          "weights",      "gamma_regularizer", "beta_regularizer", "consume_less",
          "dropout_W",    "dropout_U",         "input_dim",        "input_length"}) {
      if (name == "Embedding" && std::string_view(key) == "input_dim") continue;
      config.erase(key);
    }
    if (name == "Embedding") {
      config.erase("dropout");
      config.erase("input_dtype");
    } else {
      rename(config, "output_dim", "units");
    }
    rename(config, "nb_filter", "filters");
    rename(config, "filter_length", "kernel_size");
    gather(config, {"nb_row", "nb_col"}, "kernel_size");
    gather(config, {"kernel_dim1", "kernel_dim2", "kernel_dim3"}, "kernel_size");
    rename(config, "subsample", "strides");
    rename(config, "subsample_length", "strides");
    rename(config, "atrous_rate", "dilation_rate");
    rename(config, "border_mode", "padding");
    rename(config, "bias", "use_bias");
    rename(config, "inner_activation", "recurrent_activation");
    rename(config, "p", "rate");
    rename(config, "sigma", "stddev");
    rename(config, "pool_length", "pool_size");
    rename(config, "stride", "strides");
    rename(config, "input_dtype", "dtype");
    if (name == "UpSampling1D") rename(config, "length", "size");
    if (name.ends_with("2D") || name.ends_with("3D")) translate_ordering(config);
    if (name.starts_with("ZeroPadding")) translate_padding(config);
    if (name == "BatchNormalization") {
      if (const json::value* mode = config.if_contains("mode"); mode != nullptr && *mode != 0) {
        unsupported(config, "mode",
                    "only normalization of features by their moving averages (mode 0) is "
                    "supported");
      }
      config.erase("mode");
    }
  }

  void translate_ordering(json::object& config) const {
    const std::string own = text_of(config, "dim_ordering");
    config.erase("dim_ordering");
    const std::string& ordering = own == "th" || own == "tf" ? own : ordering_;
    config["data_format"] = ordering == "th" ? "channels_first" : "channels_last";
  }

  // An amount a side, in three forms besides that of Keras 2.
  static void translate_padding(json::object& config) {
    json::value* padding = config.if_contains("padding");
    if (padding == nullptr) return;
    const auto amount = [](const json::object& object, std::string_view key) {
      const json::value* value = object.if_contains(key);
      return value != nullptr ? *value : json::value(0);
    };
    if (const json::object* sides = padding->if_object()) {
      const json::array columns{amount(*sides, "left_pad"), amount(*sides, "right_pad")};
      if (sides->contains("top_pad") || sides->contains("bottom_pad")) {
        *padding = json::array{json::array{amount(*sides, "top_pad"), amount(*sides, "bottom_pad")},
                               columns};
      } else {
        *padding = columns;
      }
    } else if (const json::array* array = padding->if_array(); array && array->size() == 4) {
      const json::array four = *array;
      *padding = json::array{json::array{four[0], four[1]}, json::array{four[2], four[3]}};
    }
  }

  std::string where_;
  std::string ordering_;
  int unnamed_ = 0;
};

// The first "dim_ordering" that a layer names. Some layers do not write theirs; it is that of the
// others, since both come from the settings of one installation.
std::string find_ordering(const json::value& value) {
  if (const json::object* object = value.if_object()) {
    std::string own = text_of(*object, "dim_ordering");
    if (own == "th" || own == "tf") return own;
    for (const auto& entry : *object) {
      std::string found = find_ordering(entry.value());
      if (!found.empty()) return found;
    }
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& entry : *array) {
      std::string found = find_ordering(entry);
      if (!found.empty()) return found;
    }
  }
  return {};
}

void translate_cudnn_layers(json::object& layer) {
  translate_cudnn(layer);
  if (json::array* layers = layers_of(layer)) {
    for (json::value& inner : *layers) {
      if (json::object* object = inner.if_object()) translate_cudnn_layers(*object);
    }
  }
  if (json::object* config = object_at(layer, "config")) {
    for (const char* key : {"layer", "backward_layer"}) {
      if (json::object* inner = object_at(*config, key)) translate_cudnn_layers(*inner);
    }
  }
}

// Whether any object in it has one of these keys.
bool names_any(const json::value& value, std::initializer_list<std::string_view> keys) {
  if (const json::object* object = value.if_object()) {
    for (const std::string_view key : keys) {
      if (object->contains(key)) return true;
    }
    return std::ranges::any_of(*object,
                               [&](const auto& entry) { return names_any(entry.value(), keys); });
  }
  const json::array* array = value.if_array();
  return array != nullptr &&
         std::ranges::any_of(*array, [&](const json::value& v) { return names_any(v, keys); });
}

}  // namespace

ConfigAge age_of_config(const json::object& model) {
  const std::string version = text_of(model, "keras_version");
  if (!version.empty()) {
    const bool keras1 = version.starts_with("1.");
    return {keras1, keras1 ? KerasVersion{2, 0} : parse_version(version)};
  }
  // Keras 3 does not say which of it wrote a text: one of the recent ones, likely.
  if (names_any(model, {"module", "registered_name", "batch_shape"})) return {false, {3, 12}};
  const bool keras1 = names_any(model, {"nb_filter", "border_mode", "dim_ordering", "init",
                                        "inner_activation", "W_regularizer"}) &&
                      !names_any(model, {"kernel_initializer", "data_format", "use_bias"});
  return {keras1, {2, 0}};
}

json::object translate_old_config(const json::object& model, bool keras1,
                                  const std::string& where) {
  json::object translated = model;
  if (keras1) {
    Keras1(where, find_ordering(model)).translate_model(translated);
  } else {
    translate_cudnn_layers(translated);
  }
  return translated;
}

}  // namespace kerf::formats
