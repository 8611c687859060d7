#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "formats/layer_weights.h"
#include "formats/weights.h"
#include "kerf/error.h"

// Every layer has a group named after its class, in a container named after the attribute that
// holds the layers: layers/dense, layers/dense_1. Its variables are datasets 0, 1, ... of its group
// "vars"; what a layer is made of has groups of its own below (lstm/cell/vars).
namespace kerf::formats {
namespace {

// Folders of one class in the order of their numbers: dense, dense_1, dense_10.
using ClassFolders = std::map<std::string, std::map<std::uint32_t, std::string>>;

class Container {
 public:
  Container(const WeightStore& file, const std::string& model_group) {
    for (const char* name : {"layers", "_layer_checkpoint_dependencies"}) {
      if (path_.empty() && file.has(model_group + "/" + name)) path_ = model_group + "/" + name;
    }
    if (path_.empty()) {
      throw Error(ErrorCode::kInvalidFile,
                  fmt::format("the weights have no group '{}/layers'", model_group), file.where());
    }
    for (const std::string& child : file.children(path_)) {
      const auto [base, number] = split(child);
      folders_[base].emplace(number, child);
      folders_[child].try_emplace(0, child);
      const std::string vars = fmt::format("{}/{}/vars", path_, child);
      if (!file.has(vars)) continue;
      if (const auto name = file.text_attribute(vars, "name")) by_name_.emplace(*name, child);
    }
  }

  // Keras 3.6 and later write each layer's name beside its variables. Before, folders were counted
  // per class; TensorFlow 2.12 and 2.13 counted layers with weights twice (dense, dense_2), so that
  // only their order tells.
  std::map<std::string, std::string> assign(const ModelSpec& model) const {
    std::map<std::string, std::vector<const LayerSpec*>> classes;
    for (const LayerSpec& layer : model.layers) {
      if (layer.operation || (model.sequential && layer.class_name == "InputLayer")) continue;
      classes[layers::layer_folder(layer.class_name)].push_back(&layer);
    }
    std::map<std::string, std::string> groups;
    for (const auto& [base, layers] : classes) {
      const auto found = folders_.find(base);
      const bool paired = found != folders_.end() && found->second.size() == layers.size();
      auto folder = paired ? found->second.begin() : decltype(found->second.begin()){};
      for (std::size_t i = 0; i < layers.size(); ++i) {
        const std::string counted = i == 0 ? base : fmt::format("{}_{}", base, i);
        const auto named = by_name_.find(layers[i]->name);
        const std::string& child = named != by_name_.end() ? named->second
                                   : paired                ? (folder++)->second
                                                           : counted;
        groups[layers[i]->name] = path_ + "/" + child;
      }
    }
    return groups;
  }

 private:
  static std::pair<std::string, std::uint32_t> split(const std::string& folder) {
    const auto underscore = folder.rfind('_');
    std::uint32_t number = 0;
    if (underscore != std::string::npos && underscore + 1 < folder.size()) {
      const char* end = folder.data() + folder.size();
      const auto parsed = std::from_chars(folder.data() + underscore + 1, end, number);
      if (parsed.ec == std::errc() && parsed.ptr == end) {
        return {folder.substr(0, underscore), number};
      }
    }
    return {folder, 0};
  }

  std::string path_;
  ClassFolders folders_;
  std::map<std::string, std::string> by_name_;
};

class Keras3Weights {
 public:
  Keras3Weights(const WeightStore& file, Skeleton& skeleton, Problems& problems)
      : file_(file), skeleton_(skeleton), problems_(problems) {}

  void read_model(const std::string& group, const ModelSpec& model, const std::string& prefix) {
    const Container container(file_, group);
    const std::map<std::string, std::string> groups = container.assign(model);
    for (const LayerSpec& layer : model.layers) {
      const auto found = groups.find(layer.name);
      if (found == groups.end()) continue;
      const std::string path = prefix + layer.name;
      if (layer.model) {
        problems_.attempt([&] { read_model(found->second, *layer.model, path + "/"); });
      } else {
        read_layer(layer, path, found->second);
      }
    }
  }

 private:
  void read_layer(const LayerSpec& layer, const std::string& path, const std::string& group) {
    const auto id = skeleton_.layers.find(path);
    if (id == skeleton_.layers.end()) return;
    const std::vector<layers::WeightSpec>& specs = skeleton_.weights[id->second];
    if (specs.empty()) return;
    // An object that stands in several models is stored where it was met first.
    if (!layer.shared_id.empty()) {
      const auto [first, added] = shared_.emplace(layer.shared_id, id->second);
      const graph::Layer& other = skeleton_.builder.layer(first->second);
      if (!added && other.weights.size() == specs.size() && !file_.has(group + "/vars/0")) {
        skeleton_.builder.layer(id->second).weights = other.weights;
        return;
      }
    }
    std::map<std::string, int> positions;
    for (const layers::WeightSpec& spec : specs) {
      const auto slash = spec.name.rfind('/');
      const std::string below =
          part_of(group, slash == std::string::npos ? "" : spec.name.substr(0, slash));
      std::string dataset = fmt::format("{}/vars/{}", below, positions[below]++);
      // Some layers write their variables by name.
      const std::string named = fmt::format("{}/vars/{}", below, spec.name.substr(slash + 1));
      if (!file_.has(dataset) && file_.has(named)) dataset = named;
      problems_.attempt(
          [&] { read_weight(file_, path, spec, dataset, skeleton_.builder.layer(id->second)); });
    }
  }

  // The group of a part of a layer, given by its path in the newest files. Others write some names
  // with an underscore before them, or without, and models under another name.
  std::string part_of(std::string group, std::string_view part) const {
    while (!part.empty()) {
      const auto end = std::min(part.find('/'), part.size());
      const std::string name(part.substr(0, end));
      part.remove_prefix(std::min(end + 1, part.size()));
      std::string found = fmt::format("{}/{}", group, name);
      for (const std::string& other :
           {"_" + name, name.substr(name.starts_with('_') ? 1 : 0),
            std::string(name == "layers" ? "_layer_checkpoint_dependencies" : name)}) {
        const std::string path = fmt::format("{}/{}", group, other);
        if (!file_.has(found) && file_.has(path)) found = path;
      }
      group = std::move(found);
    }
    return group;
  }

  const WeightStore& file_;
  Skeleton& skeleton_;
  Problems& problems_;
  std::map<std::string, graph::LayerId> shared_;
};

}  // namespace

void read_keras3_weights(const WeightStore& file, const ModelSpec& model, Skeleton& skeleton,
                         Problems& problems) {
  problems.attempt([&] { Keras3Weights(file, skeleton, problems).read_model("", model, ""); });
}

}  // namespace kerf::formats
