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

// By the definition, in double: of the channels [c, c + size) of sample n.
Floats group_normalised(const Tensor& x, std::size_t groups, double epsilon, const Floats& gamma,
                        const Floats& beta) {
  const auto batch = static_cast<std::size_t>(x.shape()[0]);
  const auto channels = static_cast<std::size_t>(x.shape().back());
  const std::size_t cells = x.as<float>().size() / batch / channels;
  const std::size_t size = channels / groups;
  Floats y(x.as<float>().size());
  for (std::size_t n = 0; n < batch; ++n) {
    for (std::size_t g = 0; g < groups; ++g) {
      std::vector<std::size_t> members;
      for (std::size_t i = 0; i < cells; ++i) {
        for (std::size_t c = g * size; c < (g + 1) * size; ++c) {
          members.push_back((n * cells + i) * channels + c);
        }
      }
      double mean = 0;
      double variance = 0;
      const auto count = static_cast<double>(members.size());
      for (const std::size_t i : members) mean += x.as<float>()[i] / count;
      for (const std::size_t i : members) variance += std::pow(x.as<float>()[i] - mean, 2) / count;
      for (const std::size_t i : members) {
        y[i] = static_cast<float>((x.as<float>()[i] - mean) / std::sqrt(variance + epsilon) *
                                      gamma[i % channels] +
                                  beta[i % channels]);
      }
    }
  }
  return y;
}

TEST(GroupNormalizationTest, NormalisesGroupsOfChannels) {
  Floats numbers = ramp(48, -3, 0.25F);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] *= static_cast<float>(i % 5);
  const Floats gamma = ramp(4, 0.5F, 1);
  const Floats beta = ramp(4, -1, 0.5F);
  const Floats ones(4, 1);
  const Floats zeros(4, 0);
  for (const Shape& shape : {Shape{2, 2, 3, 4}, Shape{3, 4, 4}, Shape{12, 4}}) {
    for (const std::size_t groups : {1, 2, 4}) {
      LayerCase layer{.class_name = "GroupNormalization",
                      .config = R"({"groups": )" + std::to_string(groups) + R"(, "epsilon": 0.01})",
                      .inputs = {floats(shape, numbers)},
                      .weights = {{"gamma", gamma}, {"beta", beta}}};
      expect_tensor(run_layer(layer).outputs[0], shape,
                    group_normalised(layer.inputs[0], groups, 0.01, gamma, beta));
    }
  }
  LayerCase layer{.class_name = "GroupNormalization",
                  .config = R"({"groups": -1, "scale": false, "center": false})",
                  .inputs = {floats({3, 4, 4}, numbers)}};
  expect_tensor(run_layer(layer).outputs[0], {3, 4, 4},
                group_normalised(layer.inputs[0], 4, 1e-3, ones, zeros));
  layer.config = R"({"groups": 3})";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("do not divide"));
}

TEST(GroupNormalizationTest, FindsTheChannelsFirst) {
  const LayerCase layer{.class_name = "GroupNormalization",
                        .config = R"({"groups": 2, "axis": 1, "epsilon": 0.0, "center": false})",
                        .inputs = {floats({1, 2, 2}, {1, 3, 5, 9})},
                        .weights = {{"gamma", {2, 4}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{-2, 2, -4, 4});
}

TEST(RMSNormalizationTest, DividesByTheRootOfTheMeanSquare) {
  LayerCase layer{.class_name = "RMSNormalization",
                  .config = R"({"epsilon": 0.0})",
                  .inputs = {floats({1, 2, 2}, {1, 7, 3, 3})},
                  .weights = {{"scale", {1, 2}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0.2F, 2.8F, 1, 2});
  layer.config = R"({"axis": [-2, -1], "epsilon": 1.0})";
  layer.inputs = {floats({1, 2, 2}, {1, 3, 3, 3})};
  layer.weights["scale"] = {1, 2, 3, 4};
  const auto y = [](double x, double scale) {
    return static_cast<float>(x / std::sqrt(8) * scale);
  };
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{y(1, 1), y(3, 2), y(3, 3), y(3, 4)});
  layer.config = R"({"axis": 1, "epsilon": 0.0})";
  layer.inputs = {floats({1, 2, 2}, {1, 3, 7, 3})};
  layer.weights["scale"] = {1, 2};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0.2F, 1, 2.8F, 2});
}

TEST(UnitNormalizationTest, DividesByTheNorm) {
  LayerCase layer{.class_name = "UnitNormalization", .inputs = {floats({1, 2, 2}, {3, 4, 0, 0})}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0.6F, 0.8F, 0, 0});
  layer.config = R"({"axis": [2, 1]})";
  layer.inputs = {floats({1, 2, 2}, {1, 1, 7, 7})};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0.1F, 0.1F, 0.7F, 0.7F});
  layer.config = R"({"axis": 1})";
  layer.inputs = {floats({1, 2, 2}, {3, 0, 4, -2})};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0.6F, 0, 0.8F, -1});
}

}  // namespace
}  // namespace kerf::layers
