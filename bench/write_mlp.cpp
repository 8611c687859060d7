// Writes a `.keras` file of dense layers with made up weights, for benchmarks:
//
//   write_mlp FILE INPUTS UNITS...
#include <fmt/core.h>

#include <cstdio>
#include <random>
#include <string>

#include "formats/keras_writer.h"
#include "graph/cut.h"
#include "tests/support/make_model.h"

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: write_mlp FILE INPUTS UNITS...\n");
    return 2;
  }
  std::string layers = fmt::format(
      R"({{"class_name": "InputLayer", "module": "keras.layers", "registered_name": null,
           "config": {{"name": "x", "batch_shape": [null, {}], "dtype": "float32"}}}})",
      argv[2]);
  for (int i = 3; i < argc; ++i) {
    layers += fmt::format(
        R"(, {{"class_name": "Dense", "module": "keras.layers", "registered_name": null,
               "config": {{"name": "dense_{}", "units": {}, "activation": "relu"}}}})",
        i - 2, argv[i]);
  }
  const std::string config = fmt::format(
      R"({{"class_name": "Sequential", "module": "keras", "registered_name": null,
           "config": {{"name": "mlp", "layers": [{}]}}}})",
      layers);
  std::mt19937 random{1};
  const auto graph =
      kerf::testing_support::make_model(config, kerf::testing_support::random_weights(random));
  kerf::formats::write_keras(kerf::graph::whole(graph), argv[1]);
  return 0;
}
