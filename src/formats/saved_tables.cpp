#include "formats/saved_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "formats/protobuf_cursor.h"
#include "formats/vocabularies.h"
#include "kerf/error.h"

// The messages and their field numbers: tensorflow/core/protobuf/{saved_model,meta_graph,
// saved_object_graph}.proto and tensorflow/core/framework/{graph,node_def,attr_value,tensor}.proto.
// A layer has an object "lookup_table", which has a function "_initialize", which is called with
// the table, and with two constants, the keys and their values, or with the name of a file.
namespace kerf::formats {
namespace {

namespace json = boost::json;
using layers::LayerSpec;
using layers::ModelSpec;

using Node = std::size_t;

// A TensorProto of strings or integers; views into the message.
struct Constant {
  std::vector<std::string_view> strings;
  std::vector<std::int64_t> integers;
};

Constant read_tensor(std::string_view message, const std::string& where) {
  Constant constant;
  for (ProtobufCursor fields(message, where); fields.next();) {
    if (fields.is(8)) constant.strings.push_back(fields.bytes());
    if (fields.is(10)) {
      for (ProtobufCursor packed(fields.bytes(), where); !packed.rest().empty();) {
        constant.integers.push_back(static_cast<std::int64_t>(packed.take_varint()));
      }
    }
    if (fields.is(4)) {
      const std::string_view bytes = fields.bytes();
      constant.integers.resize(bytes.size() / sizeof(std::int64_t));
      std::memcpy(constant.integers.data(), bytes.data(),
                  constant.integers.size() * sizeof(std::int64_t));
    }
  }
  return constant;
}

class SavedObjects {
 public:
  SavedObjects(std::string_view file, const std::string& where) : where_(where) {
    for (ProtobufCursor model(file, where); model.next();) {
      if (!model.is(2) || !objects_.empty()) continue;
      for (ProtobufCursor graph(model.bytes(), where); graph.next();) {
        if (graph.is(2)) graph_ = graph.bytes();
        if (graph.is(6)) assets_.push_back(graph.bytes());
        if (graph.is(7)) read_objects(graph.bytes());
      }
    }
  }

  bool empty() const noexcept { return objects_.empty(); }

  std::optional<Node> child(Node parent, std::string_view name) const {
    for (ProtobufCursor fields(objects_[parent], where_); fields.next();) {
      if (!fields.is(1)) continue;
      std::uint64_t id = 0;
      std::string_view found;
      for (ProtobufCursor reference(fields.bytes(), where_); reference.next();) {
        if (reference.is(1)) id = reference.number();
        if (reference.is(2)) found = reference.bytes();
      }
      if (found == name && id < objects_.size()) return static_cast<Node>(id);
    }
    return std::nullopt;
  }

  // What a function object is called with beside its arguments.
  std::vector<Node> bound_to(Node function) const {
    std::vector<Node> nodes;
    const std::string_view name = inner(inner(objects_[function], 6), 1);
    const auto found = functions_.find(name);
    if (found == functions_.end()) return nodes;
    const auto add = [&](std::uint64_t id) {
      if (id < objects_.size()) nodes.push_back(static_cast<Node>(id));
    };
    for (ProtobufCursor fields(found->second, where_); fields.next();) {
      if (!fields.is(2)) continue;
      for (ProtobufCursor packed(fields.bytes(), where_); !packed.rest().empty();) {
        add(packed.take_varint());
      }
    }
    return nodes;
  }

  // The value of a constant object; empty if it is none.
  Constant constant(Node node) const {
    const std::string_view name = inner(inner(objects_[node], 9), 1);
    if (name.empty()) return {};
    for (ProtobufCursor nodes(graph_, where_); nodes.next();) {
      if (!nodes.is(1) || inner(nodes.bytes(), 1) != name) continue;
      for (ProtobufCursor fields(nodes.bytes(), where_); fields.next();) {
        if (fields.is(5) && inner(fields.bytes(), 1) == "value") {
          return read_tensor(inner(inner(fields.bytes(), 2), 8), where_);
        }
      }
    }
    return {};
  }

  // The name of the file that an asset object stands for; empty if it is none.
  std::string asset(Node node) const {
    for (ProtobufCursor fields(objects_[node], where_); fields.next();) {
      if (!fields.is(5)) continue;
      std::uint64_t index = 0;
      for (ProtobufCursor asset(fields.bytes(), where_); asset.next();) {
        if (asset.is(1)) index = asset.number();
      }
      if (index < assets_.size()) return std::string(inner(assets_[index], 2));
    }
    return {};
  }

 private:
  void read_objects(std::string_view message) {
    for (ProtobufCursor fields(message, where_); fields.next();) {
      if (fields.is(1)) objects_.push_back(fields.bytes());
      if (fields.is(2)) functions_.emplace(inner(fields.bytes(), 1), inner(fields.bytes(), 2));
    }
  }

  // The first field of this number in a message, or nothing.
  std::string_view inner(std::string_view message, std::uint64_t field) const {
    for (ProtobufCursor fields(message, where_); fields.next();) {
      if (fields.is(field)) return fields.bytes();
    }
    return {};
  }

  const std::string& where_;
  std::string_view graph_;
  std::vector<std::string_view> assets_;
  std::vector<std::string_view> objects_;
  std::map<std::string_view, std::string_view> functions_;
};

bool lacks_vocabulary(const LayerSpec& layer) {
  const json::value* own = layer.config.if_contains("vocabulary");
  return has_vocabulary(layer.class_name) && (own == nullptr || !own->is_array());
}

// The tokens in the order of their indices, without the special ones, as TensorFlow's tables have
// them.
json::array in_order(const Constant& tokens, const std::vector<std::int64_t>& indices) {
  const bool integers = tokens.strings.empty();
  const std::size_t count = integers ? tokens.integers.size() : tokens.strings.size();
  if (count != indices.size()) {
    throw Error(ErrorCode::kInvalidFile, "a lookup table has keys without values");
  }
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t i) { return indices[i]; });
  json::array result;
  for (const std::size_t i : order) {
    if (!result.empty() && indices[i] != indices[order[result.size() - 1]] + 1) {
      throw Error(ErrorCode::kInvalidFile, "the indices of a lookup table have gaps");
    }
    if (integers) {
      result.emplace_back(tokens.integers[i]);
    } else {
      result.emplace_back(json::string(tokens.strings[i]));
    }
  }
  return result;
}

void add_vocabulary(const SavedObjects& objects, Node node, LayerSpec& layer,
                    const std::function<std::string(const std::string&)>& read_asset) {
  std::optional<Node> owner = node;
  if (layer.class_name == "TextVectorization") {
    owner = objects.child(node, "_lookup_layer");
    if (!owner) owner = objects.child(node, "_index_lookup_layer");
  }
  const auto table = owner ? objects.child(*owner, "lookup_table") : std::nullopt;
  const auto initialize = table ? objects.child(*table, "_initialize") : std::nullopt;
  if (!initialize) return;
  const std::vector<Node> bound = objects.bound_to(*initialize);
  if (bound.size() == 2) {
    const std::string file = objects.asset(bound[1]);
    if (!file.empty()) set_vocabulary(layer, read_asset(file));
  } else if (bound.size() == 3) {
    Constant keys = objects.constant(bound[1]);
    Constant values = objects.constant(bound[2]);
    const json::value* invert = layer.config.if_contains("invert");
    if (invert != nullptr && *invert == true) std::swap(keys, values);
    layer.config["vocabulary"] = in_order(keys, values.integers);
  }
}

void add_vocabularies(const SavedObjects& objects, Node node, ModelSpec& model,
                      const std::function<std::string(const std::string&)>& read_asset,
                      Problems& problems) {
  // A Sequential model does not count its input among its layers.
  const std::size_t first =
      model.sequential && model.layers.front().class_name == "InputLayer" ? 1 : 0;
  for (std::size_t i = first; i < model.layers.size(); ++i) {
    LayerSpec& layer = model.layers[i];
    const auto child = objects.child(node, fmt::format("layer-{}", i - first));
    if (!child) continue;
    if (layer.model) {
      add_vocabularies(objects, *child, *layer.model, read_asset, problems);
    } else if (lacks_vocabulary(layer)) {
      problems.attempt([&] { add_vocabulary(objects, *child, layer, read_asset); });
    }
  }
}

}  // namespace

bool lacks_vocabulary(const ModelSpec& model) {
  return std::ranges::any_of(model.layers, [](const LayerSpec& layer) {
    return layer.model ? lacks_vocabulary(*layer.model) : lacks_vocabulary(layer);
  });
}

void add_table_vocabularies(ModelSpec& model, std::string_view saved_model,
                            const std::string& where,
                            const std::function<std::string(const std::string&)>& read_asset,
                            Problems& problems) {
  problems.attempt([&] {
    const SavedObjects objects(saved_model, where);
    if (!objects.empty()) add_vocabularies(objects, 0, model, read_asset, problems);
  });
}

}  // namespace kerf::formats
