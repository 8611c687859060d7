#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "formats/protobuf_cursor.h"
#include "formats/saved_model.h"
#include "kerf/error.h"

// The message: tensorflow/core/protobuf/trackable_object_graph.proto. A model calls its layers
// layer-0, layer-1, ...; a layer calls its weights and parts as the attributes of the Python class
// are called, and lists all of its variables besides, in the order of layer.weights.
namespace kerf::formats {
namespace {

using Node = ObjectGraph::Node;

constexpr std::string_view kObjectGraph = "_CHECKPOINTABLE_OBJECT_GRAPH";

class CheckpointWeights {
 public:
  CheckpointWeights(TensorBundle& bundle, Skeleton& skeleton, Problems& problems)
      : bundle_(bundle),
        skeleton_(skeleton),
        problems_(problems),
        objects_(bundle.text(kObjectGraph), bundle.where()) {}

  void read_model(Node node, const ModelSpec& model, const std::string& prefix) {
    // A Sequential model does not count its input among its layers.
    for (std::size_t i = model.sequential ? 1 : 0; i < model.layers.size(); ++i) {
      const LayerSpec& layer = model.layers[i];
      const std::string name = fmt::format("layer-{}", i - (model.sequential ? 1 : 0));
      const Node child = objects_.child(node, name);
      const std::string path = prefix + layer.name;
      if (layer.model && child != ObjectGraph::kNone) {
        read_model(child, *layer.model, path + "/");
      } else if (layer.model) {
        problems_.attempt([&] { wrong(path, fmt::format("the variables have no {}", name)); });
      } else {
        problems_.attempt([&] { read_layer(path, child, name); });
      }
    }
  }

  Node root() const noexcept { return objects_.root(); }

 private:
  void read_layer(const std::string& path, Node node, const std::string& name) {
    const auto id = skeleton_.layers.find(path);
    if (id == skeleton_.layers.end()) return;
    const std::vector<layers::WeightSpec>& specs = skeleton_.weights[id->second];
    if (specs.empty()) return;
    if (node == ObjectGraph::kNone) wrong(path, fmt::format("the variables have no {}", name));
    std::vector<Node> variables = by_name(node, specs);
    if (variables.empty()) variables = by_order(path, node, specs);
    graph::Layer& layer = skeleton_.builder.layer(id->second);
    for (std::size_t i = 0; i < specs.size(); ++i) {
      problems_.attempt([&] {
        Tensor value = bundle_.tensor(objects_.key(variables[i]));
        if (!specs[i].shape.accepts(value.shape())) {
          wrong(path,
                fmt::format("the weight '{}' has the shape {}, but {} is expected", specs[i].name,
                            value.shape().to_string(), specs[i].shape.to_string()));
        }
        layer.weights.push_back(
            {.name = specs[i].name, .value = std::move(value), .trainable = specs[i].trainable});
      });
    }
  }

  // The variables of the layer by their paths below it; empty unless all are there.
  std::vector<Node> by_name(Node layer, const std::vector<layers::WeightSpec>& specs) const {
    std::vector<Node> found;
    std::set<Node> different;
    for (const layers::WeightSpec& spec : specs) {
      Node node = layer;
      std::string_view path = spec.name;
      while (!path.empty() && node != ObjectGraph::kNone) {
        const std::string_view part = path.substr(0, path.find('/'));
        path.remove_prefix(std::min(part.size() + 1, path.size()));
        node = part_of(node, std::string(part));
      }
      if (node == ObjectGraph::kNone || objects_.key(node).empty()) return {};
      found.push_back(node);
      different.insert(node);
    }
    return different.size() == specs.size() ? found : std::vector<Node>{};
  }

  // Keras 3 writes some attributes without the underscore that they begin with.
  Node part_of(Node node, const std::string& name) const {
    const Node part = objects_.child(node, name);
    return part != ObjectGraph::kNone ? part : objects_.child(node, "_" + name);
  }

  // By their place among all variables of the layer: trainable ones stand first.
  std::vector<Node> by_order(const std::string& path, Node layer,
                             const std::vector<layers::WeightSpec>& specs) const {
    std::vector<Node> listed;
    const Node list = objects_.child(layer, "variables");
    if (list != ObjectGraph::kNone) {
      for (std::size_t i = 0;; ++i) {
        const Node variable = objects_.child(list, fmt::format("{}", i));
        if (variable == ObjectGraph::kNone) break;
        listed.push_back(variable);
      }
    }
    if (listed.size() != specs.size()) {
      wrong(path, fmt::format("the file holds {} weights, but {} are expected", listed.size(),
                              specs.size()));
    }
    std::vector<std::size_t> order(specs.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_partition(order.begin(), order.end(),
                          [&](std::size_t i) { return specs[i].trainable; });
    std::vector<Node> result(specs.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
      if (objects_.key(listed[i]).empty()) {
        wrong(path, fmt::format("the weight '{}' has no value", specs[order[i]].name));
      }
      result[order[i]] = listed[i];
    }
    return result;
  }

  [[noreturn]] void wrong(const std::string& path, std::string message) const {
    throw Error(ErrorCode::kInvalidFile, std::move(message),
                fmt::format("{}, layer '{}'", bundle_.where(), path));
  }

  TensorBundle& bundle_;
  Skeleton& skeleton_;
  Problems& problems_;
  ObjectGraph objects_;
};

}  // namespace

ObjectGraph::ObjectGraph(std::string_view message, const std::string& where) {
  for (ProtobufCursor objects(message, where); objects.next();) {
    if (!objects.is(1)) continue;
    Object& object = nodes_.emplace_back();
    for (ProtobufCursor fields(objects.bytes(), where); fields.next();) {
      if (!fields.is(1) && !fields.is(2)) continue;
      const bool child = fields.is(1);
      std::uint64_t node = 0;
      std::string_view name;
      std::string_view key;
      for (ProtobufCursor inner(fields.bytes(), where); inner.next();) {
        if (child && inner.is(1)) node = inner.number();
        if (child && inner.is(2)) name = inner.bytes();
        if (!child && inner.is(1)) name = inner.bytes();
        if (!child && inner.is(3)) key = inner.bytes();
      }
      if (!child && name == "VARIABLE_VALUE") object.key = key;
      if (child && node < kNone) object.children.emplace(name, static_cast<Node>(node));
    }
  }
}

ObjectGraph::Node ObjectGraph::child(Node node, std::string_view name) const {
  const auto found = nodes_[node].children.find(name);
  return found != nodes_[node].children.end() && found->second < nodes_.size() ? found->second
                                                                               : kNone;
}

void read_checkpoint_weights(TensorBundle& bundle, const ModelSpec& model, Skeleton& skeleton,
                             Problems& problems) {
  problems.attempt([&] {
    CheckpointWeights weights(bundle, skeleton, problems);
    if (weights.root() == ObjectGraph::kNone) {
      throw Error(ErrorCode::kInvalidFile, "its graph of objects is empty", bundle.where());
    }
    weights.read_model(weights.root(), model, "");
  });
}

}  // namespace kerf::formats
