#include "formats/tfjs.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <cctype>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <utility>

#include "formats/json.h"
#include "formats/keep_weights.h"
#include "formats/layer_weights.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;

constexpr std::uint64_t kMostElements = std::uint64_t{1} << 40;

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::uint64_t stored_size(const std::string& dtype) {
  if (dtype == "float32" || dtype == "int32") return 4;
  if (dtype == "float16" || dtype == "uint16") return 2;
  return dtype == "uint8" || dtype == "bool" ? 1 : 0;
}

std::vector<std::string> parts_of(std::string_view name) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t slash = name.find('/');
    parts.emplace_back(name.substr(0, slash));
    if (slash == std::string_view::npos) break;
    name.remove_prefix(slash + 1);
  }
  parts.back() = parts.back().substr(0, parts.back().find(':'));
  return parts;
}

template <typename T>
std::vector<T> copied(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

bool stays_below(const std::filesystem::path& path) {
  return !path.empty() && path.is_relative() &&
         std::ranges::none_of(path, [](const auto& part) { return part == ".."; });
}

}  // namespace

bool TfjsModel::recognises(const json::value& document) {
  const json::object* object = document.if_object();
  return object != nullptr &&
         (object->contains("modelTopology") || object->contains("weightsManifest"));
}

TfjsModel::TfjsModel(const json::value& document, std::string where) : where_(std::move(where)) {
  if (!recognises(document)) invalid("this is not a model of TensorFlow.js");
  const json::object& object = document.get_object();
  // Objects are sometimes written as the text of their JSON.
  const auto unwrapped = [&](const json::object& parent, std::string_view key) -> json::value {
    const json::value* value = parent.if_contains(key);
    if (value == nullptr) return nullptr;
    return value->is_string() ? parse_json(value->get_string(), where_) : *value;
  };
  json::value topology = unwrapped(object, "modelTopology");
  if (!topology.is_object()) {
    invalid("it holds weights without a model: modelTopology is no object");
  }
  json::object& outer = topology.get_object();
  const std::string version = text_of(outer, "keras_version");
  // TensorFlow.js itself computes as Keras 2 does.
  version_ = !version.empty() && std::isdigit(static_cast<unsigned char>(version[0])) != 0
                 ? parse_version(version)
                 : KerasVersion{2, 0};
  if (outer.contains("model_config")) {
    json::value inner = unwrapped(outer, "model_config");
    if (!inner.is_object()) invalid("model_config is no object");
    config_ = std::move(inner.get_object());
  } else if (outer.contains("class_name")) {
    config_ = std::move(outer);
  } else {
    throw Error(ErrorCode::kUnsupported,
                "it is a graph model, a TensorFlow graph without Keras layers; convert the Keras "
                "model to a layers model, or serve it as it was saved by Keras",
                where_);
  }
  const json::value* manifest = object.if_contains("weightsManifest");
  if (manifest == nullptr || !manifest->is_array()) invalid("it has no weightsManifest");
  for (const json::value& group : manifest->get_array()) read_group(group);
}

void TfjsModel::invalid(std::string message) const {
  throw Error(ErrorCode::kInvalidFile, std::move(message), where_);
}

void TfjsModel::read_group(const json::value& group) {
  const json::object* object = group.if_object();
  const json::value* paths = object != nullptr ? object->if_contains("paths") : nullptr;
  const json::value* weights = object != nullptr ? object->if_contains("weights") : nullptr;
  if (paths == nullptr || !paths->is_array() || weights == nullptr || !weights->is_array()) {
    invalid("a group of weightsManifest has no lists of paths and weights");
  }
  paths_.emplace_back();
  for (const json::value& path : paths->get_array()) {
    const std::string text = path.is_string() ? std::string(path.get_string()) : std::string();
    if (!stays_below(text)) {
      invalid(fmt::format("'{}' is not the path of a file beside this one", text));
    }
    // Each is read once: a short list must not stand for much memory.
    if (!named_.insert(std::filesystem::path(text).lexically_normal().string()).second) {
      invalid(fmt::format("it lists the shard '{}' twice", text));
    }
    paths_.back().push_back(text);
  }
  std::uint64_t size = 0;
  for (const json::value& weight : weights->get_array()) {
    Entry entry = read_entry(weight);
    entry.group = paths_.size() - 1;
    entry.offset = size;
    size += entry.count * stored_size(entry.stored);
    if (size > kMostElements) invalid("its weights are absurdly large");
    entries_.push_back(std::move(entry));
  }
  sizes_.push_back(size);
}

TfjsModel::Entry TfjsModel::read_entry(const json::value& weight) const {
  const json::object* object = weight.if_object();
  const json::value* shape = object != nullptr ? object->if_contains("shape") : nullptr;
  if (shape == nullptr || !shape->is_array()) invalid("a weight has no shape");
  const std::string name = text_of(*object, "name");
  Entry entry;
  entry.name = parts_of(name);
  entry.dtype = text_of(*object, "dtype");
  entry.stored = entry.dtype;
  if (const json::value* found = object->if_contains("quantization")) {
    const json::object* quantization = found->if_object();
    if (quantization == nullptr)
      invalid(fmt::format("the quantization of '{}' is no object", name));
    entry.stored = text_of(*quantization, "dtype");
    const auto number = [&](std::string_view key, double& to) {
      const json::value* value = quantization->if_contains(key);
      if (value == nullptr && entry.stored == "float16") return;
      if (value == nullptr || !value->is_number()) {
        invalid(fmt::format("the quantization of '{}' has no number '{}'", name, key));
      }
      to = value->to_number<double>();
    };
    number("scale", entry.scale);
    number("min", entry.min);
  }
  const bool known = entry.dtype == "float32" || entry.dtype == "int32" || entry.dtype == "bool";
  if (!known || stored_size(entry.stored) == 0) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("the weight '{}' is stored as '{}', of the dtype '{}'", name,
                            entry.stored, entry.dtype),
                where_);
  }
  entry.count = 1;
  if (shape->get_array().size() > Shape::kMaxRank) {
    invalid(fmt::format("the weight '{}' has too many dimensions", name));
  }
  for (const json::value& dim : shape->get_array()) {
    const std::int64_t size = dim.is_int64() ? dim.get_int64() : -1;
    if (size < 0 || static_cast<std::uint64_t>(size) > kMostElements ||
        (size > 0 && entry.count > kMostElements / static_cast<std::uint64_t>(size))) {
      invalid(fmt::format("the weight '{}' has an impossible shape", name));
    }
    entry.count *= static_cast<std::uint64_t>(size);
    entry.shape.push_back(size);
  }
  return entry;
}

std::shared_ptr<FileBuffer> TfjsModel::group_bytes(std::size_t group, const Shards& shards) const {
  std::vector<std::shared_ptr<FileBuffer>> parts;
  std::uint64_t size = 0;
  for (const std::string& path : paths_[group]) {
    parts.push_back(shards(path));
    size += parts.back()->bytes().size();
  }
  if (size < sizes_[group]) {
    invalid(fmt::format("the shards '{}' hold {} bytes, but their weights need {}",
                        fmt::join(paths_[group], "', '"), size, sizes_[group]));
  }
  if (parts.size() == 1) return parts.front();
  auto whole = std::make_shared<FileBuffer>(size);
  std::byte* to = whole->data();
  for (const auto& part : parts) {
    to = std::ranges::copy(part->bytes(), to).out;
  }
  return whole;
}

// "dense_1/kernel", and with more between them: "lstm/lstm_cell/kernel",
// "bidirectional/forward_lstm/kernel".
const TfjsModel::Entry& TfjsModel::find(const std::string& path,
                                        const layers::WeightSpec& spec) const {
  const std::vector<std::string> layers = parts_of(path);
  const std::string leaf = parts_of(spec.name).back();
  const auto holds = [](const Entry& entry, const auto& accepts) {
    return std::any_of(entry.name.begin(), entry.name.end() - 1, accepts);
  };
  std::vector<const Entry*> found;
  for (const Entry& entry : entries_) {
    const auto begins = [&](std::string_view prefix) {
      return holds(entry, [&](const std::string& part) { return part.starts_with(prefix); });
    };
    if (entry.name.back() == leaf &&
        holds(entry, [&](const std::string& part) { return part == layers.back(); }) &&
        (!spec.name.starts_with("forward_layer/") || begins("forward")) &&
        (!spec.name.starts_with("backward_layer/") || begins("backward"))) {
      found.push_back(&entry);
    }
  }
  if (found.size() > 1) {  // layers of one name in several models
    std::erase_if(found, [&](const Entry* entry) {
      return !std::ranges::all_of(layers, [&](const std::string& layer) {
        return std::ranges::find(entry->name, layer) != entry->name.end();
      });
    });
  }
  if (found.size() != 1) {
    wrong_weights(where_, path,
                  fmt::format("the weight '{}' {}", spec.name,
                              found.empty() ? "is missing in weightsManifest"
                                            : "has several candidates in weightsManifest"));
  }
  return *found.front();
}

Tensor TfjsModel::value_of(const Entry& entry, const std::shared_ptr<FileBuffer>& buffer) const {
  const std::uint64_t size = entry.count * stored_size(entry.stored);
  const auto bytes = buffer->bytes().subspan(entry.offset, size);
  if (entry.stored == "float32" && entry.dtype == "float32") {
    const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % sizeof(float) == 0;
    if (!aligned || bytes.empty()) return Tensor::copy_of(DType::kFloat32, entry.shape, bytes);
    return {DType::kFloat32, entry.shape, std::shared_ptr<const void>(buffer, bytes.data()), size};
  }
  if (entry.stored == "float16") {
    return Tensor::copy_of(DType::kFloat16, entry.shape, bytes).cast(DType::kFloat32);
  }
  std::vector<float> values(entry.count);
  const auto scaled = [&](const auto& stored) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double value = static_cast<double>(stored[i]) * entry.scale + entry.min;
      values[i] = static_cast<float>(entry.dtype == "int32" ? std::round(value) : value);
    }
  };
  if (entry.stored == "int32") {
    scaled(copied<std::int32_t>(bytes));
  } else if (entry.stored == "float32") {
    scaled(copied<float>(bytes));
  } else if (entry.stored == "uint16") {
    scaled(copied<std::uint16_t>(bytes));
  } else {
    scaled(copied<std::uint8_t>(bytes));
  }
  return Tensor::floats(entry.shape, values);
}

void TfjsModel::read_weights(const Shards& shards, Skeleton& skeleton, Problems& problems) const {
  std::vector<std::shared_ptr<FileBuffer>> buffers;
  for (std::size_t group = 0; group < paths_.size(); ++group) {
    buffers.push_back(sizes_[group] != 0 ? group_bytes(group, shards)
                                         : std::make_shared<FileBuffer>(0));
  }
  for (const auto& layer : skeleton.layers) {
    const std::string& path = layer.first;
    const graph::LayerId id = layer.second;
    const auto specs = skeleton.weights.find(id);
    if (specs == skeleton.weights.end()) continue;
    for (const layers::WeightSpec& spec : specs->second) {
      problems.attempt([&] {
        const Entry& entry = find(path, spec);
        add_weight(where_, path, spec, value_of(entry, buffers[entry.group]),
                   skeleton.builder.layer(id));
      });
    }
  }
  keep_weights(buffers, skeleton);
}

}  // namespace kerf::formats
