#include "formats/layer_weights.h"

#include <fmt/format.h>

#include <utility>

#include "kerf/error.h"

namespace kerf::formats {

void wrong_weights(const std::string& where, const std::string& path, std::string message) {
  throw Error(ErrorCode::kInvalidFile, std::move(message),
              fmt::format("{}, layer '{}'", where, path));
}

Tensor stored_weight(const WeightStore& file, const std::string& path,
                     const layers::WeightSpec& spec, const std::string& dataset) {
  if (!file.has(dataset)) {
    wrong_weights(
        file.where(), path,
        fmt::format("the weight '{}' is missing (it should be at '{}')", spec.name, dataset));
  }
  return file.dataset(dataset);
}

void add_weight(const std::string& where, const std::string& path, const layers::WeightSpec& spec,
                Tensor value, graph::Layer& layer) {
  if (!spec.shape.accepts(value.shape())) {
    wrong_weights(where, path,
                  fmt::format("the weight '{}' has the shape {}, but {} is expected", spec.name,
                              value.shape().to_string(), spec.shape.to_string()));
  }
  layer.weights.push_back(
      {.name = spec.name, .value = std::move(value), .trainable = spec.trainable});
}

void read_weight(const WeightStore& file, const std::string& path, const layers::WeightSpec& spec,
                 const std::string& dataset, graph::Layer& layer) {
  add_weight(file.where(), path, spec, stored_weight(file, path, spec, dataset), layer);
}

}  // namespace kerf::formats
