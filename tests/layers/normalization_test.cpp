#include <gmock/gmock.h>

#include <cmath>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

TEST(BatchNormalizationTest, NormalisesByWhatItRemembers) {
  const Tensor x = floats({2, 2}, {1, 2, 3, 4});
  const auto y = [](double v, double mean, double variance, double gamma, double beta) {
    return static_cast<float>((v - mean) / std::sqrt(variance + 1e-3) * gamma + beta);
  };
  LayerCase layer{.class_name = "BatchNormalization",
                  .config = R"({"axis": [1], "epsilon": 0.001})",
                  .inputs = {x},
                  .weights = {{"gamma", {2, 3}},
                              {"beta", {0.5F, -1}},
                              {"moving_mean", {1, 2}},
                              {"moving_variance", {4, 0.25F}}}};
  expect_tensor(
      run_layer(layer).outputs[0], {2, 2},
      Floats{y(1, 1, 4, 2, 0.5), y(2, 2, 0.25, 3, -1), y(3, 1, 4, 2, 0.5), y(4, 2, 0.25, 3, -1)});
  layer.config = R"({"axis": -1, "scale": false})";
  expect_tensor(
      run_layer(layer).outputs[0], {2, 2},
      Floats{y(1, 1, 4, 1, 0.5), y(2, 2, 0.25, 1, -1), y(3, 1, 4, 1, 0.5), y(4, 2, 0.25, 1, -1)});
  layer.config = R"({"axis": 1, "center": false, "scale": false})";
  expect_tensor(
      run_layer(layer).outputs[0], {2, 2},
      Floats{y(1, 1, 4, 1, 0), y(2, 2, 0.25, 1, 0), y(3, 1, 4, 1, 0), y(4, 2, 0.25, 1, 0)});
}

TEST(BatchNormalizationTest, KnowsOtherAxes) {
  const LayerCase layer{.class_name = "BatchNormalization",
                        .config = R"({"axis": 1, "epsilon": 0.0, "center": false, "scale": false})",
                        .inputs = {floats({1, 2, 2}, {1, 2, 3, 4})},
                        .weights = {{"moving_mean", {1, 3}}, {"moving_variance", {1, 4}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0, 1, 0, 0.5F});
  LayerCase wrong = layer;
  wrong.config = R"({"axis": 5})";
  EXPECT_THAT(refusal_of(wrong).what(), HasSubstr("field axis"));
}

TEST(LayerNormalizationTest, NormalisesOneOrSeveralAxes) {
  const Tensor x = floats({1, 2, 2}, {1, 3, 5, 9});
  LayerCase layer{.class_name = "LayerNormalization",
                  .config = R"({"epsilon": 0.0})",
                  .inputs = {x},
                  .weights = {{"gamma", {2, 4}}, {"beta", {0, 1}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{-2, 5, -2, 5});
  layer.config = R"({"axis": [2, 1], "epsilon": 0.0})";
  layer.weights = {{"gamma", {1, 1, 1, 2}}, {"beta", {0, 0, 0, 1}}};
  // The mean is 4.5, the variance 8.75.
  const double s = std::sqrt(8.75);
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2},
                Floats{static_cast<float>(-3.5 / s), static_cast<float>(-1.5 / s),
                       static_cast<float>(0.5 / s), static_cast<float>(9 / s + 1)});
  // Along the steps: pairs (1, 5) and (3, 9).
  layer.config = R"({"axis": 1, "epsilon": 0.0, "center": false})";
  layer.weights = {{"gamma", {1, 3}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{-1, -1, 3, 3});
}

TEST(LayerNormalizationTest, RmsScalingOnlyDivides) {
  const LayerCase layer{.class_name = "LayerNormalization",
                        .config = R"({"epsilon": 0.0, "rms_scaling": true})",
                        .inputs = {floats({1, 2}, {1, 3})},
                        .weights = {{"gamma", {1, 2}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2}, Floats{1, 6});
}

TEST(RescalingTest, ScalesIntegersToo) {
  expect_tensor(run_layer({.class_name = "Rescaling",
                           .config = R"({"scale": 0.5, "offset": -1})",
                           .inputs = {ints({1, 2}, {0, 255})}})
                    .outputs[0],
                {1, 2}, Floats{-1, 126.5F});
}

}  // namespace
}  // namespace kerf::layers
