#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "formats/layer_weights.h"
#include "formats/old_weights.h"
#include "formats/weights.h"
#include "kerf/error.h"

// A group per layer of the outermost model, with an attribute that lists its datasets in order. The
// names inside are whatever the variables were called; the order tells which is which.
namespace kerf::formats {
namespace {

using Expected = ExpectedWeight;

// The weights of a layer, or of all layers of a nested model, in the order of the model.
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

// "encoder/dense_1/kernel:0" names the weight "kernel" of the layer "dense_1".
bool names_weight(std::string_view dataset, const Expected& expected) {
  const auto last = [](std::string_view text) { return text.substr(text.rfind('/') + 1); };
  const std::string_view layer = last(expected.path);
  std::string_view leaf = last(dataset);
  leaf = leaf.substr(0, leaf.find(':'));
  if (leaf != last(expected.spec->name)) return false;
  const std::string whole = fmt::format("/{}", dataset);
  return whole.find(fmt::format("/{}/", layer)) != std::string::npos;
}

// The trainable weights of a layer or a nested model come first, then all others.
std::vector<std::size_t> storage_order(const std::vector<Expected>& expected) {
  std::vector<std::size_t> order(expected.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_partition(order.begin(), order.end(),
                        [&](std::size_t i) { return expected[i].trainable; });
  return order;
}

// The datasets of each weight. Whether a layer was trainable when the file was written the
// configuration does not always tell, so names decide where they are clear.
std::vector<std::vector<std::string>> in_order(const std::vector<std::string>& names,
                                               const std::vector<Expected>& expected) {
  std::vector<std::vector<std::string>> by_name;
  std::set<std::string> used;
  for (const Expected& e : expected) {
    const auto fits = [&](const std::string& name) { return names_weight(name, e); };
    if (std::ranges::count_if(names, fits) != 1) break;
    by_name.push_back({*std::ranges::find_if(names, fits)});
    used.insert(by_name.back().front());
  }
  if (used.size() == expected.size()) return by_name;
  const std::vector<std::size_t> order = storage_order(expected);
  std::vector<std::vector<std::string>> by_position(names.size());
  for (std::size_t i = 0; i < order.size(); ++i) by_position[order[i]] = {names[i]};
  return by_position;
}

class LegacyWeights {
 public:
  LegacyWeights(const Hdf5File& file, const std::string& root, const ModelSpec& model, bool keras1,
                Skeleton& skeleton, Problems& problems)
      : file_(file),
        root_(root),
        model_(model),
        skeleton_(skeleton),
        problems_(problems),
        storage_(old_storage(file, root, keras1)) {}

  void read() {
    std::vector<const LayerSpec*> layers;
    std::vector<std::vector<Expected>> expected;
    for (const LayerSpec& layer : model_.layers) {
      std::vector<Expected> own;
      expect(layer, layer.name, true, skeleton_, own);
      if (own.empty()) continue;
      layers.push_back(&layer);
      expected.push_back(std::move(own));
    }
    const std::vector<std::string> groups = find_groups(layers);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      problems_.attempt([&] { read_layer(*layers[i], groups[i], expected[i]); });
    }
  }

 private:
  // By the names of the layers where all are there; else, as Keras itself does, the i-th layer with
  // weights has the i-th group with weights.
  std::vector<std::string> find_groups(const std::vector<const LayerSpec*>& layers) const {
    std::vector<std::string> named;
    bool all_there = true;
    for (const LayerSpec* layer : layers) {
      named.push_back(fmt::format("{}/{}", root_, layer->name));
      all_there = all_there && file_.has(named.back());
    }
    if (all_there) return named;
    std::vector<std::string> filled;
    for (const std::string& name :
         file_.text_array(root_, "layer_names").value_or(std::vector<std::string>{})) {
      const std::string group = fmt::format("{}/{}", root_, name);
      if (!file_.has(group)) continue;
      const auto weights = file_.text_array(group, "weight_names");
      if (weights && !weights->empty()) filled.push_back(group);
    }
    return filled.size() == layers.size() ? filled : named;
  }

  void read_layer(const LayerSpec& layer, const std::string& group,
                  const std::vector<Expected>& expected) {
    auto names = file_.has(group) ? file_.text_array(group, "weight_names") : std::nullopt;
    if (!names) {
      wrong_weights(file_.where(), layer.name,
                    fmt::format("its weights are missing (they should be at '{}')", group));
    }
    // What SpectralNormalization needs to train on, and nothing else.
    std::erase_if(*names, [](const std::string& name) {
      return name.find("/vector_u") != std::string::npos || name.find("/sn_u") != std::string::npos;
    });
    std::optional<std::vector<std::vector<std::string>>> datasets;
    if (names->size() == expected.size()) {
      datasets = in_order(*names, expected);
    } else if (storage_.keras1) {
      datasets = names_of_gates(*names, expected, storage_order(expected));
    }
    if (!datasets) {
      wrong_weights(file_.where(), layer.name,
                    fmt::format("the file holds {} weights, but {} are expected", names->size(),
                                expected.size()));
    }
    std::vector<Tensor> values(expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const Expected& e = expected[i];
      problems_.attempt([&] {
        std::vector<Tensor> parts;
        for (const std::string& dataset : (*datasets)[i]) {
          parts.push_back(
              stored_weight(file_, e.path, *e.spec, fmt::format("{}/{}", group, dataset)));
        }
        values[i] = modern_weight(std::move(parts), *e.spec, skeleton_.builder.peek().layer(e.id),
                                  storage_);
      });
    }
    convert_cudnn(expected, values);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const Expected& e = expected[i];
      if (values[i].empty()) continue;
      problems_.attempt([&] {
        add_weight(file_.where(), e.path, *e.spec, std::move(values[i]),
                   skeleton_.builder.layer(e.id));
      });
    }
  }

  const Hdf5File& file_;
  const std::string& root_;
  const ModelSpec& model_;
  Skeleton& skeleton_;
  Problems& problems_;
  OldStorage storage_;
};

}  // namespace

void read_legacy_weights(const Hdf5File& file, const std::string& root, const ModelSpec& model,
                         bool keras1, Skeleton& skeleton, Problems& problems) {
  problems.attempt([&] { LegacyWeights(file, root, model, keras1, skeleton, problems).read(); });
}

}  // namespace kerf::formats
