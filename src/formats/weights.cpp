#include "formats/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "formats/snake_case.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

[[noreturn]] void wrong(const Hdf5File& file, const std::string& path, std::string message) {
  throw Error(ErrorCode::kInvalidFile, std::move(message),
              fmt::format("{}, layer '{}'", file.where(), path));
}

void add_weight(const Hdf5File& file, const std::string& path, const layers::WeightSpec& spec,
                const std::string& dataset, graph::Layer& layer) {
  if (!file.has(dataset)) {
    wrong(file, path,
          fmt::format("the weight '{}' is missing (it should be at '{}')", spec.name, dataset));
  }
  Tensor value = file.dataset(dataset);
  if (!spec.shape.accepts(value.shape())) {
    wrong(file, path,
          fmt::format("the weight '{}' has the shape {}, but {} is expected", spec.name,
                      value.shape().to_string(), spec.shape.to_string()));
  }
  layer.weights.push_back(
      {.name = spec.name, .value = std::move(value), .trainable = spec.trainable});
}

std::string unique_name(std::map<std::string, int>& counters, const std::string& base) {
  const int n = counters[base]++;
  return n == 0 ? base : fmt::format("{}_{}", base, n);
}

void read_container(const Hdf5File& file, const std::string& model_group, const ModelSpec& model,
                    const std::string& prefix, Skeleton& skeleton) {
  std::string container;
  for (const char* name : {"layers", "_layer_checkpoint_dependencies"}) {
    if (container.empty() && file.has(model_group + "/" + name)) {
      container = model_group + "/" + name;
    }
  }
  if (container.empty()) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("the weights have no group '{}/layers'", model_group), file.where());
  }
  // Keras 3.6 and later write each layer's name beside its variables; before, folders are counted
  // per class.
  std::map<std::string, std::string> by_name;
  for (const std::string& child : file.children(container)) {
    const std::string vars = fmt::format("{}/{}/vars", container, child);
    if (!file.has(vars)) continue;
    if (const auto name = file.text_attribute(vars, "name")) {
      by_name.emplace(*name, container + "/" + child);
    }
  }
  std::map<std::string, int> counters;
  for (const LayerSpec& layer : model.layers) {
    if (layer.operation || (model.sequential && layer.class_name == "InputLayer")) continue;
    const std::string counted =
        container + "/" + unique_name(counters, snake_case(layer.class_name));
    if (layer.class_name == "InputLayer") continue;
    const auto named = by_name.find(layer.name);
    const std::string group = named != by_name.end() ? named->second : counted;
    const std::string path = prefix + layer.name;
    if (layer.model) {
      read_container(file, group, *layer.model, path + "/", skeleton);
      continue;
    }
    const auto id = skeleton.layers.find(path);
    if (id == skeleton.layers.end()) continue;
    std::map<std::string, int> positions;
    for (const layers::WeightSpec& spec : skeleton.weights[id->second]) {
      const auto slash = spec.name.rfind('/');
      const std::string below =
          slash == std::string::npos ? "" : fmt::format("/{}", spec.name.substr(0, slash));
      add_weight(file, path, spec, fmt::format("{}{}/vars/{}", group, below, positions[below]++),
                 skeleton.builder.layer(id->second));
    }
  }
}

struct Expected {
  graph::LayerId layer;
  std::string path;
  const layers::WeightSpec* spec;
  bool trainable;
};

void expect(const LayerSpec& layer, const std::string& path, bool trainable, Skeleton& skeleton,
            std::vector<Expected>& expected) {
  trainable = trainable && layer.trainable;
  if (layer.model) {
    for (const LayerSpec& inner : layer.model->layers) {
      expect(inner, path + "/" + inner.name, trainable, skeleton, expected);
    }
    return;
  }
  const auto id = skeleton.layers.find(path);
  if (id == skeleton.layers.end()) return;
  for (const layers::WeightSpec& spec : skeleton.weights[id->second]) {
    expected.push_back({id->second, path, &spec, trainable && spec.trainable});
  }
}

}  // namespace

void read_keras3_weights(const Hdf5File& file, const ModelSpec& model, Skeleton& skeleton) {
  read_container(file, "", model, "", skeleton);
}

void read_legacy_weights(const Hdf5File& file, const std::string& root, const ModelSpec& model,
                         Skeleton& skeleton) {
  for (const LayerSpec& layer : model.layers) {
    std::vector<Expected> expected;
    expect(layer, layer.name, true, skeleton, expected);
    if (expected.empty()) continue;
    // A nested model's trainable weights come first, then all others.
    std::ranges::stable_partition(expected, [](const Expected& e) { return e.trainable; });
    const std::string group = fmt::format("{}/{}", root, layer.name);
    const auto names = file.has(group) ? file.text_array(group, "weight_names") : std::nullopt;
    if (!names) wrong(file, layer.name, "its weights are missing");
    if (names->size() != expected.size()) {
      wrong(file, layer.name,
            fmt::format("the file holds {} weights, but {} are expected", names->size(),
                        expected.size()));
    }
    std::map<const layers::WeightSpec*, std::string> datasets;
    for (std::size_t i = 0; i < expected.size(); ++i) {
      datasets[expected[i].spec] = fmt::format("{}/{}", group, (*names)[i]);
    }
    std::map<graph::LayerId, std::string> touched;
    for (const Expected& e : expected) touched.emplace(e.layer, e.path);
    for (const auto& [id, path] : touched) {
      for (const layers::WeightSpec& spec : skeleton.weights[id]) {
        add_weight(file, path, spec, datasets.at(&spec), skeleton.builder.layer(id));
      }
    }
  }
}

}  // namespace kerf::formats
