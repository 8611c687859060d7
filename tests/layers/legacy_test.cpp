#include <cmath>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

Tensor run(const LayerCase& layer) { return run_layer(layer).outputs[0]; }

TEST(HighwayTest, CarriesPartOfTheInputOn) {
  const float gate = 1 / (1 + std::exp(-1.0F));
  expect_tensor(run({.class_name = "Highway",
                     .config = R"({"activation": "linear"})",
                     .inputs = {floats({1, 2}, {1, 2})},
                     .weights = {{"kernel", {0, 1, 1, 0}},
                                 {"carry_kernel", {0, 0, 0, 0}},
                                 {"bias", {10, 0}},
                                 {"carry_bias", {1, 0}}},
                     .version = {1, 2}}),
                {1, 2}, Floats{gate * 12 + (1 - gate) * 1, 0.5F * 1 + 0.5F * 2});
}

TEST(MaxoutDenseTest, IsTheLargestOfItsParts) {
  expect_tensor(run({.class_name = "MaxoutDense",
                     .config = R"({"units": 2, "nb_feature": 2})",
                     .inputs = {floats({1, 2}, {1, 2})},
                     .weights = {{"kernel", {1, 0, 0, 1, -1, 5, 3, 0}}, {"bias", {0, 0, 0, 1}}},
                     .version = {1, 2}}),
                {1, 2}, Floats{5, 6});
}

TEST(SReluTest, IsThreeLines) {
  expect_tensor(run({.class_name = "SReLU",
                     .inputs = {floats({1, 3}, {-3, 0.5F, 4})},
                     .weights = {{"t_left", {-1, -1, -1}},
                                 {"a_left", {0.5F, 0.5F, 0.5F}},
                                 {"t_right", {-3, 3, 3}},
                                 {"a_right", {2, 2, 2}}},
                     .version = {1, 2}}),
                {1, 3}, Floats{-2, 0.5F, 6});
}

TEST(ParametricSoftplusTest, HasTwoParametersForEachElement) {
  expect_tensor(run({.class_name = "ParametricSoftplus",
                     .inputs = {floats({1, 2}, {1, 2})},
                     .weights = {{"alphas", {2, 3}}, {"betas", {0, 1}}},
                     .version = {1, 2}}),
                {1, 2}, Floats{2 * std::log(2.0F), 3 * std::log1p(std::exp(2.0F))});
}

TEST(RandomFourierFeaturesTest, AreCosines) {
  expect_tensor(
      run({.class_name = "RandomFourierFeatures",
           .config = R"({"output_dim": 2})",
           .inputs = {floats({1, 2}, {1, 2})},
           .weights = {{"unscaled_kernel", {1, 0, 0, 1}}, {"bias", {0, 1}}, {"kernel_scale", {2}}},
           .version = {2, 6}}),
      {1, 2}, Floats{std::cos(0.5F), std::cos(2.0F)});
}

}  // namespace
}  // namespace kerf::layers
