#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "formats/graph_reader.h"
#include "formats/json.h"
#include "graph/graph.h"
#include "kerf/error.h"
#include "kerf/extensions.h"
#include "layers/model_spec.h"

namespace kerf::testing_support {

// Gives the weight of this name ("lstm/cell/kernel") and shape.
using WeightSource = std::function<Tensor(const std::string& name, const Shape& shape)>;

// The graph of a model configuration as a file would hold it, with weights from `source`.
inline std::shared_ptr<const graph::Graph> make_model(const std::string& config,
                                                      const WeightSource& source,
                                                      formats::KerasVersion version = {3, 16},
                                                      const Extensions& extensions = {}) {
  const boost::json::value json = formats::parse_json(config, "config");
  formats::Problems problems("config", extensions.impl());
  const formats::ModelSpec spec = formats::read_spec(json.as_object(), "config");
  for (const std::string& unknown : formats::unknown_layers(spec, extensions.impl().get())) {
    problems.add(Error(ErrorCode::kUnsupported, unknown));
  }
  formats::Skeleton skeleton = formats::read_graph(spec, version, problems);
  if (!problems.empty()) throw problems.all();
  for (const auto& [id, weights] : skeleton.weights) {
    graph::Layer& layer = skeleton.builder.layer(id);
    for (const layers::WeightSpec& weight : weights) {
      layer.weights.push_back({.name = weight.name,
                               .value = source(layer.path + "/" + weight.name, weight.shape),
                               .trainable = weight.trainable});
    }
  }
  return skeleton.builder.build();
}

inline Tensor random_tensor(const Shape& shape, std::mt19937& random, float low = -1,
                            float high = 1) {
  std::uniform_real_distribution<float> distribution(low, high);
  std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
  for (float& value : values) value = distribution(random);
  return Tensor::floats(shape, values);
}

// Random weights; the variances that a square root is taken of are positive.
inline WeightSource random_weights(std::mt19937& random) {
  return [&random](const std::string& name, const Shape& shape) {
    return random_tensor(shape, random, name.ends_with("variance") ? 0.5F : -1, 1);
  };
}

}  // namespace kerf::testing_support
