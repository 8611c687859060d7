#include "layers/model_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <map>
#include <set>

#include "kerf/error.h"
#include "layers/nested_calls.h"
#include "layers/refused_classes.h"
#include "layers/registry.h"
#include "layers/snake_case.h"
#include "layers/tensorflow_nodes.h"
#include "layers/tensorflow_operations.h"
#include "layers/user_definitions.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;

[[noreturn]] void invalid(const std::string& where, std::string message) {
  throw Error(ErrorCode::kInvalidFile, std::move(message), where);
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// ["layer", node, tensor, ...]: how tensors are referred to outside of calls, and in Keras 2 calls.
bool is_ref(const json::value& value) {
  const json::array* array = value.if_array();
  return array != nullptr && array->size() >= 3 && (*array)[0].is_string() &&
         (*array)[1].is_number() && (*array)[2].is_number();
}

// ["_CONSTANT_VALUE", -1, value, ...]: a literal in its place.
bool is_constant(const json::value& value) {
  const json::array* array = value.if_array();
  return array != nullptr && array->size() >= 3 && (*array)[0] == "_CONSTANT_VALUE";
}

TensorRef ref_of(const json::array& array, const std::string& where) {
  const auto index = [&](const json::value& value) {
    const std::int64_t number = value.is_int64() ? value.get_int64() : -1;
    if (number < 0 || number > 1'000'000) invalid(where, "a tensor reference is out of range");
    return static_cast<std::uint32_t>(number);
  };
  return {.layer = std::string(array[0].get_string()),
          .node = index(array[1]),
          .tensor = index(array[2])};
}

// Rewrites the arguments of a Keras 3 call: tensors become indices.
json::value rewrite(const json::value& value, CallSpec& call, const std::string& where) {
  if (const json::object* object = value.if_object()) {
    if (text_of(*object, "class_name") == "__keras_tensor__") {
      const json::value* config = object->if_contains("config");
      const json::value* history = config != nullptr && config->is_object()
                                       ? config->get_object().if_contains("keras_history")
                                       : nullptr;
      if (history == nullptr || !is_ref(*history)) invalid(where, "a tensor has no keras_history");
      call.refs.push_back(ref_of(history->get_array(), where));
      return json::object{{"tensor", call.refs.size() - 1}};
    }
    json::object result;
    for (const auto& entry : *object) {
      result[entry.key()] = rewrite(entry.value(), call, where);
    }
    return result;
  }
  if (const json::array* array = value.if_array()) {
    json::array result;
    for (const json::value& entry : *array) result.push_back(rewrite(entry, call, where));
    return result;
  }
  return value;
}

// Keras 2 keyword arguments: a bare reference is a tensor.
json::value rewrite_keyword(const json::value& value, CallSpec& call, const std::string& where) {
  if (is_ref(value)) {
    call.refs.push_back(ref_of(value.get_array(), where));
    return json::object{{"tensor", call.refs.size() - 1}};
  }
  if (const json::array* array = value.if_array()) {
    json::array result;
    for (const json::value& entry : *array) result.push_back(rewrite_keyword(entry, call, where));
    return result;
  }
  return value;
}

// Moves what a layer was given by position behind its input to the keywords of the same meaning.
void name_positional(const std::string& class_name, json::object& arguments) {
  static const std::map<std::string, std::vector<std::string>, std::less<>> kParameters{
      {"LSTM", {"initial_state", "mask", "training"}},
      {"GRU", {"initial_state", "mask", "training"}},
      {"SimpleRNN", {"initial_state", "mask", "training"}},
      {"RNN", {"initial_state", "mask", "training"}},
      {"ConvLSTM1D", {"initial_state", "mask", "training"}},
      {"ConvLSTM2D", {"initial_state", "mask", "training"}},
      {"ConvLSTM3D", {"initial_state", "mask", "training"}},
      {"Bidirectional", {"initial_state", "mask", "training"}},
      {"TimeDistributed", {"training", "mask"}},
      {"Softmax", {"mask"}},
      {"GlobalAveragePooling1D", {"mask"}},
      {"BatchNormalization", {"training", "mask"}},
      {"Dropout", {"training"}},
      {"Functional", {"training", "mask"}},
      {"Sequential", {"training", "mask"}}};
  const auto parameters = kParameters.find(class_name);
  json::array& args = arguments["args"].get_array();
  if (parameters == kParameters.end() || args.size() > parameters->second.size() + 1) return;
  while (args.size() > 1) {
    arguments["kwargs"].get_object()[parameters->second[args.size() - 2]] = args.back();
    args.pop_back();
  }
}

CallSpec read_call(const json::value& node, const LayerSpec& layer, const std::string& where) {
  CallSpec call;
  if (const json::object* object = node.if_object()) {
    const json::value* args = object->if_contains("args");
    const json::value* kwargs = object->if_contains("kwargs");
    if ((args != nullptr && !args->is_array()) || (kwargs != nullptr && !kwargs->is_object())) {
      invalid(where, "the arguments of an inbound node are not a list and an object");
    }
    call.arguments["args"] = args != nullptr ? rewrite(*args, call, where) : json::array{};
    call.arguments["kwargs"] = kwargs != nullptr ? rewrite(*kwargs, call, where) : json::object{};
    name_positional(layer.class_name, call.arguments);
    return call;
  }
  const json::array* entries = node.if_array();
  if (entries == nullptr || entries->empty())
    invalid(where, "an inbound node is neither an object nor a list");
  json::array tensors;
  json::object kwargs;
  const auto add = [&](const json::value& entry) {
    if (is_constant(entry)) {
      const json::array& array = entry.get_array();
      tensors.push_back(rewrite_keyword(array[2], call, where));
      if (kwargs.empty() && array.size() > 3 && array[3].is_object()) {
        kwargs = array[3].get_object();
      }
      return;
    }
    if (!is_ref(entry)) invalid(where, "an inbound node does not refer to a tensor");
    const json::array& array = entry.get_array();
    call.refs.push_back(ref_of(array, where));
    tensors.push_back(json::object{{"tensor", call.refs.size() - 1}});
    if (kwargs.empty() && array.size() > 3 && array[3].is_object()) kwargs = array[3].get_object();
  };
  if (is_ref(node) || is_constant(node)) {
    add(node);
  } else {
    for (const json::value& entry : *entries) add(entry);
  }
  json::object rewritten;
  for (const auto& entry : kwargs) {
    rewritten[entry.key()] = rewrite_keyword(entry.value(), call, where);
  }
  // Keras 2 passes initial states beside the input.
  static const std::set<std::string> kRecurrent{
      "LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"};
  const bool recurrent = kRecurrent.contains(layer.class_name);
  if (recurrent && tensors.size() > 1) {
    json::array states(tensors.begin() + 1, tensors.end());
    rewritten["initial_state"] = std::move(states);
    tensors.erase(tensors.begin() + 1, tensors.end());
  }
  json::array args;
  if (tensors.size() == 1) {
    args.push_back(tensors[0]);
  } else {
    args.push_back(std::move(tensors));
  }
  call.arguments["args"] = std::move(args);
  call.arguments["kwargs"] = std::move(rewritten);
  return call;
}

// Flattens a structure of references; dict entries in the order of their keys.
void flatten(const json::value& value, const std::string& key, std::vector<TensorRef>& refs,
             std::vector<std::string>& names, const std::string& where) {
  if (is_ref(value)) {
    refs.push_back(ref_of(value.get_array(), where));
    names.push_back(key);
  } else if (const json::array* array = value.if_array()) {
    for (const json::value& entry : *array) flatten(entry, {}, refs, names, where);
  } else if (const json::object* object = value.if_object()) {
    std::map<std::string, const json::value*> sorted;
    for (const auto& entry : *object) sorted.emplace(entry.key(), &entry.value());
    for (const auto& [name, entry] : sorted) flatten(*entry, name, refs, names, where);
  } else {
    invalid(where, "the model's inputs or outputs are not tensor references");
  }
}

bool is_model(const std::string& class_name, const json::object& config) {
  return class_name == "Sequential" || class_name == "Functional" || class_name == "Model" ||
         (config.contains("layers") && config.contains("output_layers"));
}

ModelSpec read_model_spec(const json::object& model, const std::string& where, int depth);

// Whether a layer's calls are written as Keras 3 does, as objects.
bool has_keras3_nodes(const json::object& layer) {
  const json::value* nodes = layer.if_contains("inbound_nodes");
  const json::array* array = nodes != nullptr ? nodes->if_array() : nullptr;
  return array != nullptr && !array->empty() && array->front().is_object();
}

// A keras.ops function that was called on symbolic tensors; many bear the names of layers (Add,
// Reshape). HDF5 files give no module, but the configuration of a layer has a "trainable" or a
// "dtype". (The operation Cast has a dtype, but its name is no layer's.)
bool is_operation(const json::object& object, const json::object& config,
                  const std::string& class_name, const std::string& module) {
  if (!module.empty()) {
    return module.starts_with("keras.src.ops") || module.starts_with("keras.src.activations");
  }
  return has_keras3_nodes(object) && !config.contains("trainable") && !config.contains("layers") &&
         !(config.contains("dtype") && Registry::instance().find(class_name, false));
}

LayerSpec read_layer(const json::object& object, const std::string& where, int depth) {
  LayerSpec layer;
  layer.class_name = text_of(object, "class_name");
  const json::value* config = object.if_contains("config");
  if (layer.class_name.empty() || config == nullptr) {
    invalid(where, "a layer has no class_name or no config");
  }
  if (config->is_object()) layer.config = config->get_object();
  layer.name = text_of(object, "name");
  if (layer.name.empty()) layer.name = text_of(layer.config, "name");
  if (layer.name.empty()) invalid(where, fmt::format("a {} layer has no name", layer.class_name));
  const std::string module = text_of(object, "module");
  layer.operation = is_operation(object, layer.config, layer.class_name, module);
  for (const char* key : {"module", "registered_name", "build_config"}) {
    if (const json::value* value = object.if_contains(key)) layer.identity[key] = *value;
  }
  layer.custom = is_custom(object, layer.class_name);
  if (const json::value* id = object.if_contains("shared_object_id"); id != nullptr) {
    layer.shared_id = json::serialize(*id);
  }
  if (const json::value* trainable = layer.config.if_contains("trainable")) {
    layer.trainable = !trainable->is_bool() || trainable->get_bool();
  }
  const std::string here = fmt::format("{}, layer '{}' ({})", where, layer.name, layer.class_name);
  if (is_model(layer.class_name, layer.config)) {
    layer.model = std::make_unique<ModelSpec>(read_model_spec(object, where, depth + 1));
    layer.model->name = layer.name;
  }
  if (const json::value* nodes = object.if_contains("inbound_nodes")) {
    if (!nodes->is_array()) invalid(here, "inbound_nodes is not a list");
    const json::array& array = nodes->get_array();
    // A node of a single entry may stand without the list around it.
    for (const json::value& node : array) {
      layer.calls.push_back(read_call(node, layer, here));
    }
  }
  translate_tensorflow_operation(layer, here);
  translate_tensorflow_node(layer, here);
  return layer;
}

// Where a layer that comes first says what its input is like; a model says so of its own input.
const json::object& config_of_input(const LayerSpec& layer) {
  if (!layer.model) return layer.config;
  const ModelSpec& model = *layer.model;
  const LayerSpec* input =
      model.sequential ? &model.layers.front() : model.find(model.inputs.front().layer);
  return input != nullptr ? input->config : layer.config;
}

// Whatever the layer's own dtype is.
bool takes_strings(const LayerSpec& layer) {
  const json::value* invert = layer.config.if_contains("invert");
  return layer.class_name == "TextVectorization" ||
         (layer.class_name == "StringLookup" && (invert == nullptr || *invert != true));
}

ModelSpec read_model_spec(const json::object& model, const std::string& where, int depth) {
  if (depth > 64) invalid(where, "models are nested too deeply");
  const json::value* config = model.if_contains("config");
  ModelSpec spec;
  spec.sequential = text_of(model, "class_name") == "Sequential";
  const json::array* layers = nullptr;
  if (config != nullptr && config->is_object()) {
    spec.name = text_of(config->get_object(), "name");
    const json::value* found = config->get_object().if_contains("layers");
    layers = found != nullptr ? found->if_array() : nullptr;
  } else if (config != nullptr) {
    layers = config->if_array();
  }
  if (layers == nullptr) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the file holds a {} without a graph of layers; only Sequential and "
                            "Functional models say how they compute. Save the model's functional "
                            "form instead",
                            text_of(model, "class_name")),
                where);
  }
  std::set<std::string> names;
  for (const json::value& entry : *layers) {
    if (!entry.is_object()) invalid(where, "a layer is not an object");
    spec.layers.push_back(read_layer(entry.get_object(), where, depth));
    if (!names.insert(spec.layers.back().name).second) {
      invalid(where, fmt::format("two layers are called '{}'", spec.layers.back().name));
    }
  }
  if (spec.sequential) {
    if (spec.layers.empty()) invalid(where, "the model has no layers");
    if (spec.layers.front().class_name != "InputLayer") {
      LayerSpec input;
      input.class_name = "InputLayer";
      input.name = spec.layers.front().name + "_input";
      const json::object& first = config_of_input(spec.layers.front());
      const json::value* shape = first.if_contains("batch_input_shape");
      if (shape == nullptr) shape = first.if_contains("batch_shape");
      if (shape == nullptr && config->is_object()) {
        shape = config->get_object().if_contains("build_input_shape");
      }
      const json::value* build = model.if_contains("build_config");
      if ((shape == nullptr || shape->is_null()) && build != nullptr && build->is_object()) {
        shape = build->get_object().if_contains("input_shape");
      }
      // What takes texts takes a vector of them, and need not be built.
      if ((shape == nullptr || shape->is_null()) &&
          spec.layers.front().class_name == "TextVectorization") {
        input.config["batch_shape"] = json::array{nullptr};
        shape = nullptr;
      }
      if (shape != nullptr) input.config["batch_shape"] = *shape;
      if (const json::value* dtype = first.if_contains("dtype");
          dtype != nullptr && dtype->is_string() && spec.layers.front().class_name != "Embedding") {
        input.config["dtype"] = *dtype;
      }
      if (takes_strings(spec.layers.front())) input.config["dtype"] = "string";
      spec.layers.insert(spec.layers.begin(), std::move(input));
    }
    return spec;
  }
  // Only a Sequential model's configuration may be a bare list of layers.
  if (!config->is_object()) invalid(where, "a Functional model's config is not an object");
  std::vector<std::string> ignored;
  const json::value* inputs = config->get_object().if_contains("input_layers");
  const json::value* outputs = config->get_object().if_contains("output_layers");
  if (inputs == nullptr || outputs == nullptr) {
    invalid(where, fmt::format("the model '{}' names no inputs or no outputs", spec.name));
  }
  flatten(*inputs, {}, spec.inputs, ignored, where);
  flatten(*outputs, {}, spec.outputs, spec.output_names, where);
  if (spec.inputs.empty() || spec.outputs.empty()) {
    invalid(where, fmt::format("the model '{}' names no inputs or no outputs", spec.name));
  }
  renumber_nested_calls(spec, std::ranges::any_of(*layers, [](const json::value& layer) {
                          return has_keras3_nodes(layer.get_object());
                        }));
  return spec;
}

// The paths of the layers for which each reason holds.
void collect_unknown(const ModelSpec& model, const std::string& prefix,
                     const UserDefinitions* extensions,
                     std::map<std::string, std::vector<std::string>>& found) {
  for (const LayerSpec& layer : model.layers) {
    const std::string path = prefix + layer.name;
    if (layer.model) {
      collect_unknown(*layer.model, path + "/", extensions, found);
    } else if (!is_known(layer, extensions)) {
      found[unknown_reason(layer)].push_back(path);
    }
  }
}

}  // namespace

const LayerSpec* ModelSpec::find(const std::string& layer) const {
  const auto it = std::ranges::find(layers, layer, &LayerSpec::name);
  return it == layers.end() ? nullptr : &*it;
}

ModelSpec read_spec(const json::object& model, const std::string& where) {
  return read_model_spec(model, where, 0);
}

LayerSpec read_layer_spec(const json::object& layer, const std::string& where) {
  return read_layer(layer, where, 0);
}

std::string layer_folder(const std::string& class_name) {
  return class_name == "GroupQueryAttention" ? "grouped_query_attention" : snake_case(class_name);
}

std::map<std::string, std::string> layer_folders(const ModelSpec& model) {
  std::map<std::string, std::string> folders;
  std::map<std::string, int> counts;
  for (const LayerSpec& layer : model.layers) {
    if (layer.operation || (model.sequential && layer.class_name == "InputLayer")) continue;
    const std::string folder = layer_folder(layer.class_name);
    const int number = counts[folder]++;
    folders[layer.name] = number == 0 ? folder : fmt::format("{}_{}", folder, number);
  }
  return folders;
}

bool is_known(const LayerSpec& layer, const UserDefinitions* extensions) {
  if (layer.model || layer.class_name == "InputLayer") return true;
  return find_definition(layer.class_name, layer.operation, layer.identity, extensions) != nullptr;
}

std::string unknown_reason(const LayerSpec& layer) {
  if (const std::string symbol = tensorflow_symbol(layer); !symbol.empty()) {
    return fmt::format("the TensorFlow function tf.{} is not one that kerf knows", symbol);
  }
  if (const std::string node = tensorflow_node_operation(layer); !node.empty()) {
    return fmt::format("the TensorFlow operation {} is not one that kerf knows", node);
  }
  if (layer.operation) {
    return fmt::format("the operation {} is not one that kerf knows", layer.class_name);
  }
  const auto refused = refused_classes().find(layer.class_name);
  if (!layer.custom && refused != refused_classes().end()) {
    return fmt::format("the class {} {}", layer.class_name, refused->second);
  }
  return fmt::format(
      "the class {} is none of Keras', but the model author's own Python code; say what it "
      "computes "
      "by an alias or a plug-in (docs/custom-layers.md), or build it from Keras layers and save "
      "the "
      "model again",
      layer.class_name);
}

std::vector<std::string> unknown_layers(const ModelSpec& model, const UserDefinitions* extensions) {
  std::map<std::string, std::vector<std::string>> found;
  collect_unknown(model, "", extensions, found);
  std::vector<std::string> reasons;
  reasons.reserve(found.size());
  for (const auto& [reason, paths] : found) {
    reasons.push_back(fmt::format("{} (layer{} '{}')", reason, paths.size() == 1 ? "" : "s",
                                  fmt::join(paths, "', '")));
  }
  return reasons;
}

}  // namespace kerf::layers
