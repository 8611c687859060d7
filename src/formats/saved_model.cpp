#include "formats/saved_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <utility>

#include "formats/file_buffer.h"
#include "formats/json.h"
#include "formats/protobuf_cursor.h"
#include "kerf/error.h"

// The messages and their field numbers: tensorflow/core/protobuf/{saved_model,meta_graph,
// saved_object_graph}.proto and keras/protobuf/saved_metadata.proto.
namespace kerf::formats {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kMaxProto = std::uint64_t{2} << 30U;  // what Protocol Buffers allow
constexpr std::string_view kHowToSave = "save the model with model.save('model.keras')";
constexpr std::string_view kKeras = "_tf_keras_";

// What a SavedModel says of its outermost object.
struct RootObject {
  bool found = false;
  std::string identifier;
  std::string_view metadata;
  std::vector<std::string_view> children;
};

std::shared_ptr<FileBuffer> read_file(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > kMaxProto) {
    throw Error(ErrorCode::kInvalidFile, "the file is absurdly large", file.where());
  }
  return file.read_part(0, file.size(), {}).buffer;
}

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Tuples and shapes are tagged, to be told from lists: {"class_name": "__tuple__", "items": [...]}.
json::value untagged(const json::value& value) {
  if (const json::object* object = value.if_object()) {
    const std::string tag = text_of(*object, "class_name");
    const json::value* items = object->if_contains("items");
    if ((tag == "__tuple__" || tag == "TensorShape") && items != nullptr) return untagged(*items);
    json::object result;
    for (const auto& entry : *object) result[entry.key()] = untagged(entry.value());
    return result;
  }
  if (const json::array* array = value.if_array()) {
    json::array result;
    for (const json::value& entry : *array) result.push_back(untagged(entry));
    return result;
  }
  return value;
}

// Whether this is the configuration of a graph of layers. That of a subclassed model is whatever
// its author returns from get_config().
bool has_layers(const json::value& config, bool sequential) {
  const json::object* object = config.if_object();
  const json::value* layers = object != nullptr ? object->if_contains("layers") : &config;
  if (layers == nullptr || !layers->is_array()) return false;
  const bool ends = object != nullptr && object->contains("output_layers");
  return (sequential || ends) && std::ranges::all_of(layers->get_array(), [](const auto& layer) {
           return layer.is_object() && layer.get_object().contains("class_name");
         });
}

SavedModelConfig config_of(std::string_view identifier, std::string_view metadata,
                           const std::string& where) {
  json::value parsed = untagged(parse_json(metadata, where));
  if (!parsed.is_object()) {
    throw Error(ErrorCode::kInvalidFile, "the metadata of the model is not a JSON object", where);
  }
  json::object& root = parsed.get_object();
  const std::string class_name = text_of(root, "class_name");
  if (identifier != "_tf_keras_model" && identifier != "_tf_keras_network" &&
      identifier != "_tf_keras_sequential") {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("it holds a layer ({}), not a model; {}", class_name, kHowToSave),
                where);
  }
  const bool sequential = identifier == "_tf_keras_sequential" || class_name == "Sequential";
  const json::value* config = root.if_contains("config");
  if (config == nullptr || !has_layers(*config, sequential)) {
    // Before TensorFlow 2.2, some models have theirs one level below.
    const json::value* model = root.if_contains("model_config");
    config = model != nullptr && model->is_object() ? model->get_object().if_contains("config")
                                                    : nullptr;
  }
  if (config == nullptr || !has_layers(*config, sequential)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("'{}' is a subclassed model: what it computes is Python code, of which "
                            "the file keeps TensorFlow's operations but no graph of layers. Build "
                            "it as a Sequential or Functional model and save that",
                            class_name.empty() ? "it" : class_name),
                where);
  }
  SavedModelConfig result{.model = {}, .version = {.major = 2, .minor = 0}};
  const std::string version = text_of(root, "keras_version");
  if (!version.empty()) result.version = parse_version(version);
  json::value model_config = *config;
  const json::value* shape = root.if_contains("build_input_shape");
  if (json::object* object = model_config.if_object();
      object != nullptr && shape != nullptr && shape->is_array()) {
    object->emplace("build_input_shape", *shape);
  }
  result.model["class_name"] = sequential ? "Sequential" : "Functional";
  result.model["config"] = std::move(model_config);
  return result;
}

RootObject root_of(std::string_view saved_object, const std::string& where) {
  RootObject root{.found = true, .identifier = {}, .metadata = {}, .children = {}};
  for (ProtobufCursor fields(saved_object, where); fields.next();) {
    if (fields.is(1)) {
      for (ProtobufCursor child(fields.bytes(), where); child.next();) {
        if (child.is(2)) root.children.push_back(child.bytes());
      }
    } else if (fields.is(4)) {
      for (ProtobufCursor user(fields.bytes(), where); user.next();) {
        if (user.is(1)) root.identifier = user.bytes();
        if (user.is(3)) root.metadata = user.bytes();
      }
    }
  }
  return root;
}

// SavedModel.meta_graphs[0].object_graph_def.nodes[0].
RootObject find_root(std::string_view saved_model, const std::string& where) {
  for (ProtobufCursor model(saved_model, where); model.next();) {
    if (!model.is(2)) continue;
    for (ProtobufCursor graph(model.bytes(), where); graph.next();) {
      if (!graph.is(7)) continue;
      for (ProtobufCursor objects(graph.bytes(), where); objects.next();) {
        if (objects.is(1)) return root_of(objects.bytes(), where);
      }
    }
  }
  return {};
}

[[noreturn]] void refuse_plain(const RootObject& root, const std::string& where) {
  const auto has = [&](std::string_view child) {
    return std::ranges::find(root.children, child) != root.children.end();
  };
  std::string what = "it is a SavedModel of TensorFlow without Keras: operations, but no layers";
  if (root.identifier.starts_with(kKeras)) {
    what =
        "a Keras model, but the file keras_metadata.pb, which describes it, is missing; copy it "
        "from where the model was saved, or";
  } else if (!root.found) {
    what = "it is a SavedModel of TensorFlow 1: operations, but no layers";
  } else if (has("_tracked") || (has("serve") && has("trainable_variables"))) {
    what = "it was made by export(), which keeps operations, but no layers";
  }
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{}{} {}", what, what.ends_with("or") ? "" : ";", kHowToSave), where);
}

}  // namespace

SavedModelConfig read_keras_metadata(std::string_view file, const std::string& where) {
  for (ProtobufCursor nodes(file, where); nodes.next();) {
    if (!nodes.is(1)) continue;
    std::string_view path;
    std::string_view identifier;
    std::string_view metadata;
    for (ProtobufCursor fields(nodes.bytes(), where); fields.next();) {
      if (fields.is(3)) path = fields.bytes();
      if (fields.is(4)) identifier = fields.bytes();
      if (fields.is(5)) metadata = fields.bytes();
    }
    if (path == "root") return config_of(identifier, metadata, where);
  }
  throw Error(ErrorCode::kUnsupported,
              fmt::format("the SavedModel may contain Keras layers, but is no Keras model itself; "
                          "{}",
                          kHowToSave),
              where);
}

SavedModelConfig read_saved_model_proto(std::string_view file, const std::string& where) {
  const RootObject root = find_root(file, where);
  if (!root.identifier.starts_with(kKeras) || root.metadata.empty()) refuse_plain(root, where);
  return config_of(root.identifier, root.metadata, where);
}

SavedModelConfig read_saved_model_config(const std::filesystem::path& folder) {
  const std::filesystem::path metadata = folder / "keras_metadata.pb";
  const auto place = [&](const char* file) { return fmt::format("{}, {}", folder.string(), file); };
  std::error_code ignored;
  if (std::filesystem::is_regular_file(metadata, ignored)) {
    return read_keras_metadata(read_file(metadata)->text(), place("keras_metadata.pb"));
  }
  return read_saved_model_proto(read_file(folder / "saved_model.pb")->text(),
                                place("saved_model.pb"));
}

}  // namespace kerf::formats
