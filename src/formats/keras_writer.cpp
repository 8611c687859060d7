#include "formats/keras_writer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <ctime>
#include <map>
#include <optional>
#include <set>

#include "formats/hdf5_writer.h"
#include "formats/keras3_dialect.h"
#include "formats/layer_order.h"
#include "formats/vocabularies.h"
#include "formats/zip_writer.h"
#include "kerf/error.h"
#include "layers/lower.h"
#include "layers/model_spec.h"
#include "layers/operation.h"
#include "layers/snake_case.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;
using graph::Call;
using graph::CallId;
using graph::kNone;
using graph::Layer;
using graph::LayerId;
using graph::TensorId;

// Layers whose call takes one mask under this keyword.
constexpr std::array kTakeMask{"LSTM",          "GRU",
                               "SimpleRNN",     "RNN",
                               "Softmax",       "GlobalAveragePooling1D",
                               "Bidirectional", "TimeDistributed",
                               "ConvLSTM1D",    "ConvLSTM2D",
                               "ConvLSTM3D",    "BatchNormalization"};

// Where Keras 3 has the class of a layer.
std::string module_of_layer(std::string_view class_name) {
  if (class_name == "LayerScale" || class_name == "StochasticDepth") {
    return "keras.src.applications.convnext";
  }
  if (class_name == "CustomScaleLayer") return "keras.src.applications.inception_resnet_v2";
  return "keras.layers";
}

// One layer of the written model.
struct Entry {
  std::string name;
  std::string class_name;
  bool operation = false;
  json::object config;
  json::object identity;
  json::array nodes;
  const Layer* source = nullptr;  // whose parts it has
  std::vector<graph::Weight> weights;
};

// Where a tensor of the graph is found in the written model.
struct Place {
  std::size_t entry = 0;
  std::size_t node = 0;
  std::uint32_t index = 0;
};

class Writer {
 public:
  explicit Writer(const graph::Cut& cut) : cut_(cut), graph_(*cut.graph) {}

  void write(const std::filesystem::path& file) {
    name_layers();
    for (const TensorId feed : cut_.feeds) add_input(feed);
    for (const CallId id : cut_.calls) add_call(graph_.call(id));
    const std::string config = python_json(model());
    const std::string metadata = python_json(metadata_of_file());
    const std::vector<std::byte> weights = weights_file();
    write_zip(file, {{"metadata.json", std::as_bytes(std::span(metadata))},
                     {"config.json", std::as_bytes(std::span(config))},
                     {"model.weights.h5", weights}});
  }

 private:
  std::string unique(std::string name) {
    std::ranges::replace(name, '/', '_');
    std::ranges::replace(name, ':', '_');
    if (name.empty()) name = "tensor";
    std::string result = name;
    for (int n = 1; !taken_.insert(result).second; ++n) result = fmt::format("{}_{}", name, n);
    return result;
  }

  // Layers keep their names where they can; only those of nested models must change.
  void name_layers() {
    std::vector<LayerId> used;
    for (const CallId id : cut_.calls) {
      const LayerId layer = graph_.call(id).layer;
      if (std::ranges::find(used, layer) == used.end()) used.push_back(layer);
    }
    std::stable_partition(used.begin(), used.end(), [&](LayerId id) {
      return graph_.layer(id).path.find('/') == std::string::npos;
    });
    for (const LayerId id : used) names_[id] = unique(graph_.layer(id).path);
  }

  void add_input(TensorId feed) {
    const graph::GraphTensor& tensor = graph_.tensor(feed);
    const std::string name = unique(graph::address_of(graph_, feed));
    places_.emplace(feed, Place{.entry = entries_.size()});
    entries_.push_back({.name = name,
                        .class_name = "InputLayer",
                        .config = {{"batch_shape", shape_json(tensor.shape)},
                                   {"dtype", dtype_name(tensor.dtype)},
                                   {"sparse", false},
                                   {"ragged", false},
                                   {"name", name},
                                   {"optional", false}},
                        .identity = {},
                        .nodes = {}});
  }

  static json::array shape_json(const Shape& shape) {
    json::array dims;
    for (const std::int64_t dim : shape) {
      dims.push_back(dim == Shape::kUnknown ? json::value(nullptr) : json::value(dim));
    }
    return dims;
  }

  json::object tensor_json(TensorId id) const {
    const graph::GraphTensor& tensor = graph_.tensor(id);
    return tensor_json({tensor.dtype, tensor.shape}, places_.at(id));
  }

  json::object tensor_json(const program::ValueType& type, const Place& place) const {
    return {{"class_name", "__keras_tensor__"},
            {"config", json::object{{"shape", shape_json(type.shape)},
                                    {"dtype", dtype_name(type.dtype)},
                                    {"keras_history", reference(place)}}}};
  }

  json::array reference(const Place& place) const {
    return {entries_[place.entry].name, place.node, place.index};
  }

  // `tensors` are what {"tensor": i} stands for.
  static json::value with_tensors(const json::value& value, std::span<const json::object> tensors) {
    if (const json::object* object = value.if_object()) {
      const json::value* tensor = object->if_contains("tensor");
      if (tensor != nullptr && object->size() == 1) {
        return tensors[tensor->to_number<std::size_t>()];
      }
      json::object result;
      for (const auto& entry : *object) result[entry.key()] = with_tensors(entry.value(), tensors);
      return result;
    }
    if (const json::array* array = value.if_array()) {
      json::array result;
      for (const json::value& entry : *array) result.push_back(with_tensors(entry, tensors));
      return result;
    }
    return value;
  }

  std::vector<json::object> inputs_json(const Call& call) const {
    std::vector<json::object> tensors;
    for (const TensorId input : call.inputs) {
      tensors.push_back(places_.contains(input) ? tensor_json(input) : json::object{});
    }
    return tensors;
  }

  std::size_t entry_of(LayerId id) {
    const auto known = layer_entries_.find(id);
    if (known != layer_entries_.end()) return known->second;
    const Layer& layer = graph_.layer(id);
    Keras3Layer written = keras3_layer(layer);
    Entry entry{.name = names_.at(id),
                .class_name = std::move(written.class_name),
                .operation = layer.operation,
                .config = std::move(written.config),
                .identity = layer.identity,
                .nodes = {},
                .source = &layer,
                .weights = std::move(written.weights)};
    if (!layer.operation || entry.config.contains("name")) entry.config["name"] = entry.name;
    give_idf_weights(layer, entry.config);
    layer_entries_.emplace(id, entries_.size());
    entries_.push_back(std::move(entry));
    return entries_.size() - 1;
  }

  // A layer that is given its vocabulary is given the weights of the tokens with it.
  static void give_idf_weights(const Layer& layer, json::object& config) {
    if (!has_vocabulary(layer.class_name) || layer.weights.empty()) return;
    const std::size_t tokens = config.at("vocabulary").as_array().size();
    json::array weights;
    const Tensor values = layer.weights.front().value.elements();
    for (const float weight : values.as<float>()) {
      if (weights.size() < tokens) weights.push_back(weight);
    }
    config["idf_weights"] = std::move(weights);
  }

  void add_call(const Call& call) {
    if (graph_.layer_of(call).class_name == "Lambda" && add_steps(call)) return;
    json::object arguments = with_tensors(call.arguments, inputs_json(call)).get_object();
    give_masks(call, arguments);
    if (is_old_hard_sigmoid(graph_.layer_of(call))) multiply_input(call, arguments);
    const std::size_t entry = entry_of(call.layer);
    for (std::uint32_t i = 0; i < call.outputs.size(); ++i) {
      places_.try_emplace(call.outputs[i], Place{entry, entries_[entry].nodes.size(), i});
    }
    entries_[entry].nodes.push_back(std::move(arguments));
  }

  // A function of Python as the operations that it is made of: these need no Python of the age of
  // the file, and no trust in its code. False for what is more than operations.
  bool add_steps(const Call& call) {
    const auto trace = layers::trace(graph_, call);
    if (!trace) return false;
    std::vector<json::object> tensors = inputs_json(call);
    std::vector<Place> places(tensors.size());
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      const auto place = places_.find(call.inputs[i]);
      if (place != places_.end()) places[i] = place->second;
    }
    const std::string& own = names_.at(call.layer);
    for (const layers::Trace::Step& step : trace->steps) {
      const std::size_t first = tensors.size();
      const bool last =
          trace->outputs.front() >= first && trace->outputs.front() < first + step.results.size();
      const bool named = last && call.index == 0;
      add_operation(step.operation.class_name,
                    named  ? own
                    : last ? unique(own)
                           : unique(layers::snake_case(step.operation.class_name)),
                    step.operation.config, with_tensors(step.operation.args, tensors).get_array());
      for (std::uint32_t i = 0; i < step.results.size(); ++i) {
        places.push_back({.entry = entries_.size() - 1, .index = i});
        tensors.push_back(tensor_json(step.results[i], places.back()));
      }
    }
    for (std::size_t i = 0; i < call.outputs.size(); ++i) {
      places_.try_emplace(call.outputs[i], places[trace->outputs[i]]);
    }
    return true;
  }

  // The function of Keras 2 is that of Keras 3 of another multiple.
  void multiply_input(const Call& call, json::object& arguments) {
    if (call.masks.front() != kNone) {
      throw Error(ErrorCode::kUnsupported,
                  "Keras 3 computes hard_sigmoid differently from Keras 2, and a mask travels here",
                  fmt::format("layer '{}'", graph_.layer_of(call).path));
    }
    json::object tensor = tensor_json(call.inputs.front());
    add_operation("Multiply", unique("multiply"), {}, {tensor, kHardSigmoidScale});
    tensor["config"].as_object()["keras_history"] = reference({.entry = entries_.size() - 1});
    arguments["args"] = json::array{std::move(tensor)};
  }

  // The mask that travels beside a tensor in the written model: none beside what is fed.
  TensorId travelling(TensorId id) {
    const graph::GraphTensor& tensor = graph_.tensor(id);
    if (tensor.producer == kNone || std::ranges::find(cut_.feeds, id) != cut_.feeds.end()) {
      return kNone;
    }
    const Call& call = graph_.call(tensor.producer);
    const TensorId mask = call.masks[tensor.index];
    if (mask == kNone || graph_.tensor(mask).producer == tensor.producer) return mask;
    const bool passes =
        std::ranges::any_of(call.inputs, [&](TensorId input) { return travelling(input) == mask; });
    return passes ? mask : kNone;
  }

  // Whether the mask can stand in the written model as a tensor of its own.
  bool may_be_tensor(TensorId mask) const {
    const std::string& maker =
        graph_.layer_of(graph_.call(graph_.tensor(mask).producer)).class_name;
    return places_.contains(mask) || maker == "Embedding" || maker == "Masking";
  }

  // An attention layer reads whatever mask travels. Where it had none because another one took it
  // before, that other one has to be in the file.
  void keep_masks_away(const Call& call) {
    const Layer& layer = graph_.layer_of(call);
    if (layer.class_name != "MultiHeadAttention") return;
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
      const TensorId input = call.inputs[i];
      if (call.implicit_masks[i] != kNone || travelling(input) == kNone) continue;
      const bool taken = std::ranges::any_of(cut_.calls, [&](CallId id) {
        const Call& other = graph_.call(id);
        return &other != &call && graph_.layer_of(other).class_name == layer.class_name &&
               std::ranges::find(other.inputs, input) != other.inputs.end();
      });
      if (!taken) {
        throw Error(ErrorCode::kUnsupported,
                    "in a Keras file this layer would read a mask that another layer took away "
                    "before; write a cut that has both",
                    fmt::format("layer '{}' ({})", layer.path, layer.class_name));
      }
    }
  }

  // Whether the written model has what the mask is made of.
  bool may_be_made(TensorId mask) const {
    const CallId maker = graph_.tensor(mask).producer;
    if (places_.contains(mask) || maker == kNone) return places_.contains(mask);
    return std::ranges::all_of(graph_.call(maker).inputs,
                               [&](TensorId input) { return places_.contains(input); });
  }

  // Whether a mask that the call makes is read in the written model.
  bool needs_masks_of(const Call& call) const {
    return std::ranges::any_of(call.masks, [&](TensorId mask) {
      const bool reads = std::ranges::any_of(cut_.calls, [&](CallId id) {
        return std::ranges::find(graph_.call(id).implicit_masks, mask) !=
               graph_.call(id).implicit_masks.end();
      });
      return mask != kNone &&
             (reads || std::ranges::find(cut_.fetches, mask) != cut_.fetches.end());
    });
  }

  // A mask that a layer reads beside its input is given by keyword, as Keras 3 does. Layers that
  // have no such keyword read the one that travels.
  void give_masks(const Call& call, json::object& arguments) {
    keep_masks_away(call);
    for (std::size_t i = 0; i < call.implicit_masks.size(); ++i) {
      const TensorId mask = call.implicit_masks[i];
      if (mask == kNone) continue;
      const Layer& layer = graph_.layer_of(call);
      const bool keyword =
          i == 0 && std::ranges::find(kTakeMask, layer.class_name) != kTakeMask.end();
      if ((!keyword || !may_be_tensor(mask)) && travelling(call.inputs[i]) == mask) continue;
      // Keras writes masks even where no number depends on them.
      const bool written = keyword && may_be_made(mask);
      if (call.only_for_masks[i] && !written && !needs_masks_of(call)) continue;
      if (!keyword) {
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("a Keras file cannot give the mask '{}' to this layer; cut "
                                "before the layer that makes the mask, or behind this one",
                                graph::address_of(graph_, mask)),
                    fmt::format("layer '{}' ({})", layer.path, layer.class_name));
      }
      make_mask(mask);
      arguments["kwargs"].as_object()["mask"] = tensor_json(mask);
    }
  }

  // A mask as a tensor of its own, computed by the operations that Keras itself uses for it.
  void make_mask(TensorId mask) {
    if (places_.contains(mask)) return;
    const Call& call = graph_.call(graph_.tensor(mask).producer);
    const Layer& layer = graph_.layer_of(call);
    const bool embedding = layer.class_name == "Embedding";
    if (!embedding && layer.class_name != "Masking") {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("a Keras file cannot hold the mask '{}' as a tensor",
                              graph::address_of(graph_, mask)),
                  fmt::format("layer '{}' ({})", layer.path, layer.class_name));
    }
    const json::value* masked = layer.config.if_contains("mask_value");
    const json::value value = embedding || masked == nullptr ? json::value(0) : *masked;
    const TensorId input = call.inputs.front();
    add_operation("NotEqual", unique("not_equal"), {}, {tensor_json(input), value});
    const Place differs{.entry = entries_.size() - 1};
    if (embedding) {
      places_.emplace(mask, differs);
      return;
    }
    json::object tensor = tensor_json(input);
    json::object& config = tensor["config"].as_object();
    config["dtype"] = "bool";
    config["keras_history"] = reference(differs);
    add_operation("Any", unique("any"), {{"axis", -1}, {"keepdims", false}}, {std::move(tensor)});
    places_.emplace(mask, Place{.entry = entries_.size() - 1});
  }

  void add_operation(const std::string& class_name, std::string name, json::object config,
                     json::array args) {
    config["name"] = name;
    entries_.push_back(
        {.name = std::move(name),
         .class_name = class_name,
         .operation = true,
         .config = std::move(config),
         .identity = {},
         .nodes = {json::object{{"args", std::move(args)}, {"kwargs", json::object{}}}}});
  }

  json::object entry_json(const Entry& entry) const {
    json::object result;
    const auto identity = [&](const char* key, const json::value& otherwise) {
      const json::value* known = entry.identity.if_contains(key);
      result[key] = known != nullptr ? *known : otherwise;
    };
    const std::string module = entry.operation ? layers::operation_module(entry.class_name)
                                               : module_of_layer(entry.class_name);
    identity("module", json::string(module));
    result["class_name"] = entry.class_name;
    result["config"] = entry.config;
    // What Keras exports needs no other name.
    identity("registered_name",
             module == "keras.layers" ? json::value(nullptr) : json::value(entry.class_name));
    if (entry.identity.contains("build_config")) identity("build_config", nullptr);
    result["name"] = entry.name;
    result["inbound_nodes"] = entry.nodes;
    return result;
  }

  json::object model() {
    json::array outputs;
    for (const TensorId fetch : cut_.fetches) {
      if (!places_.contains(fetch)) make_mask(fetch);
      outputs.push_back(reference(places_.at(fetch)));
    }
    json::array inputs;
    for (const TensorId feed : cut_.feeds) inputs.push_back(reference(places_.at(feed)));
    json::array layers;
    for (const Entry& entry : entries_) layers.push_back(entry_json(entry));
    std::string name = graph_.name().empty() ? "functional" : graph_.name();
    std::ranges::replace(name, '/', '_');
    // A single tensor stands alone, several in a list.
    const auto structure = [](json::array& refs) {
      return refs.size() == 1 ? json::value(refs.front()) : json::value(refs);
    };
    return {{"module", "keras.src.models.functional"},
            {"class_name", "Functional"},
            {"config", json::object{{"name", name},
                                    {"trainable", true},
                                    {"layers", std::move(layers)},
                                    {"input_layers", structure(inputs)},
                                    {"output_layers", structure(outputs)}}},
            {"registered_name", "Functional"},
            {"build_config", json::object{{"input_shape", nullptr}}},
            {"compile_config", json::object{}}};
  }

  // The version whose rules the model was saved by: some functions have changed since.
  json::object metadata_of_file() const {
    int minor = 0;
    for (const Layer& layer : graph_.layers()) {
      if (layer.keras_major >= 3) minor = layer.keras_minor;
    }
    const std::time_t now = std::time(nullptr);
    return {{"keras_version", fmt::format("3.{}.0", minor)},
            {"date_saved", fmt::format("{:%Y-%m-%d@%H:%M:%S}", fmt::gmtime(now))}};
  }

  // The tensors that a node is called with, in order.
  static void collect_history(const json::value& value, std::vector<const json::array*>& found) {
    if (const json::array* array = value.if_array()) {
      for (const json::value& item : *array) collect_history(item, found);
    } else if (const json::object* object = value.if_object()) {
      const json::value* history = object->if_contains("keras_history");
      if (history != nullptr && history->is_array()) {
        found.push_back(&history->get_array());
        return;
      }
      for (const auto& entry : *object) collect_history(entry.value(), found);
    }
  }

  // Entries in the order in which Keras will count them.
  std::vector<std::size_t> counted_entries() const {
    std::map<std::string_view, std::size_t> by_name;
    std::vector<std::size_t> first_node;
    std::size_t count = 0;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      by_name.emplace(entries_[i].name, i);
      first_node.push_back(count);
      count += std::max<std::size_t>(entries_[i].nodes.size(), 1);
    }
    std::vector<LayerNode> nodes(count);
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      nodes[first_node[i]].layer = i;
      for (std::size_t k = 0; k < entries_[i].nodes.size(); ++k) {
        LayerNode& node = nodes[first_node[i] + k];
        node.layer = i;
        std::vector<const json::array*> inputs;
        collect_history(entries_[i].nodes[k], inputs);
        for (const json::array* input : inputs) {
          const std::size_t maker = by_name.at(std::string_view(input->at(0).as_string()));
          node.parents.push_back(first_node[maker] + input->at(1).to_number<std::size_t>());
        }
      }
    }
    std::vector<std::size_t> outputs;
    for (const TensorId fetch : cut_.fetches) {
      const Place& place = places_.at(fetch);
      outputs.push_back(first_node[place.entry] + place.node);
    }
    return keras_layer_order(entries_.size(), nodes, outputs);
  }

  std::vector<std::byte> weights_file() const {
    Hdf5Writer file;
    std::map<std::string, int> counters;
    for (const std::size_t counted : counted_entries()) {
      const Entry& entry = entries_[counted];
      if (entry.operation) continue;
      const std::string folder = layers::layer_folder(entry.class_name);
      const int number = counters[folder]++;
      const std::string path = number == 0 ? fmt::format("/layers/{}", folder)
                                           : fmt::format("/layers/{}_{}", folder, number);
      file.group(path + "/vars", entry.name);
      if (entry.source == nullptr) continue;
      for (const graph::Part& part : entry.source->parts) {
        file.group(fmt::format("{}/{}/vars", path, part.path), part.name);
      }
      std::map<std::string, int> positions;
      for (const graph::Weight& weight : entry.weights) {
        const auto slash = weight.name.rfind('/');
        const std::string part =
            slash == std::string::npos ? "" : "/" + weight.name.substr(0, slash);
        const std::string name =
            has_vocabulary(entry.class_name) ? weight.name : fmt::format("{}", positions[part]++);
        file.dataset(fmt::format("{}{}/vars/{}", path, part, name), weight.value.elements());
      }
    }
    file.group("/vars", graph_.name().empty() ? "functional" : graph_.name());
    return file.finish();
  }

  const graph::Cut& cut_;
  const graph::Graph& graph_;
  std::set<std::string> taken_;
  std::map<LayerId, std::string> names_;
  std::map<LayerId, std::size_t> layer_entries_;
  std::vector<Entry> entries_;
  std::map<TensorId, Place> places_;
  std::map<TensorId, TensorId> travelling_;
};

}  // namespace

void write_keras(const graph::Cut& cut, const std::filesystem::path& file) {
  Writer(cut).write(file);
}

}  // namespace kerf::formats
