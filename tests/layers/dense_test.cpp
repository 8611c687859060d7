#include <gmock/gmock.h>

#include <cmath>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

TEST(DenseTest, ContractsTheLastAxisOfAnyRank) {
  const std::map<std::string, Floats> weights{{"kernel", {1, 2, 3, 4}}, {"bias", {10, 20}}};
  expect_tensor(run_layer({.class_name = "Dense",
                           .config = R"({"units": 2})",
                           .inputs = {floats({1, 2}, {1, 1})},
                           .weights = weights})
                    .outputs[0],
                {1, 2}, Floats{14, 26});
  expect_tensor(run_layer({.class_name = "Dense",
                           .config = R"({"units": 2})",
                           .inputs = {floats({1, 1, 2, 2}, {1, 0, 0, 1})},
                           .weights = weights})
                    .outputs[0],
                {1, 1, 2, 2}, Floats{11, 22, 13, 24});
}

TEST(DenseTest, HasAnActivationThatMayHoldWeights) {
  expect_tensor(run_layer({.class_name = "Dense",
                           .config = R"({"units": 2, "use_bias": false, "activation":
                             {"class_name": "PReLU", "config": {}}})",
                           .inputs = {floats({1, 1}, {1})},
                           .weights = {{"kernel", {-2, 3}}, {"activation/alpha", {0.5F, 0.5F}}}})
                    .outputs[0],
                {1, 2}, Floats{-1, 3});
}

TEST(DenseTest, TakesIntegers) {
  expect_tensor(run_layer({.class_name = "Dense",
                           .config = R"({"units": 1, "use_bias": false})",
                           .inputs = {ints({1, 2}, {3, 4})},
                           .weights = {{"kernel", {0.5F, 0.25F}}}})
                    .outputs[0],
                {1, 1}, Floats{2.5F});
}

TEST(DenseTest, NamesTheFieldThatIsWrong) {
  const Tensor x = floats({1, 1}, {1});
  for (const char* config : {"{}", R"({"units": 0})", R"({"units": "many"})", R"({"units": 1.5})",
                             R"({"units": 1e18})", R"({"units": null})"}) {
    const Error error = refusal_of({.class_name = "Dense", .config = config, .inputs = {x}});
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile) << config;
    EXPECT_THAT(error.where(), HasSubstr("layer 'layer' (Dense), field units")) << config;
  }
}

TEST(CallTest, WhatKerfDoesNotLookAtIsRefused) {
  LayerCase layer{.class_name = "Dense",
                  .config = R"({"units": 1, "use_bias": false})",
                  .inputs = {floats({1, 1}, {1}), floats({1, 1}, {1})},
                  .weights = {{"kernel", {1}}}};
  for (const char* arguments :
       {R"({"args": [$0, $1], "kwargs": {}})", R"({"args": [$0], "kwargs": {"scale": $1}})",
        R"({"args": [[$0, $1]], "kwargs": {}})"}) {
    layer.arguments = arguments;
    const Error error = refusal_of(layer);
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("does not know the use of"));
    EXPECT_THAT(error.where(), HasSubstr("layer 'layer' (Dense)"));
  }
}

TEST(CallTest, TrainingBehaviourIsRefused) {
  LayerCase layer{.class_name = "Dropout",
                  .config = R"({"rate": 0.5})",
                  .inputs = {floats({1, 1}, {1})},
                  .arguments = R"({"args": [$0], "kwargs": {"training": true}})"};
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("training=True"));
  layer.arguments = R"({"args": [$0, true], "kwargs": {}})";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("training=True"));
  layer.arguments = R"([["in0", 0, 0, {"training": true}]])";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("training=True"));
  layer.arguments = R"({"args": [$0], "kwargs": {"training": false}})";
  expect_tensor(run_layer(layer).outputs[0], {1, 1}, Floats{1});
}

TEST(TernaryDenseTest, KeepsSignsOnly) {
  LayerCase layer{.class_name = "TernaryDense",
                  .config = R"({"units": 2, "threshold": 0.75})",
                  .inputs = {floats({1, 2}, {1, 10})},
                  .weights = {{"kernel", {1, -0.6F, -2, 0.6F}}, {"bias", {0, 1}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2}, Floats{-9, 1});
  // Half the mean size without a threshold, by which the signs are multiplied then.
  layer.config = R"({"units": 2, "threshold": null})";
  expect_tensor(run_layer(layer).outputs[0], {1, 2}, Floats{-9.45F, 10.45F});
}

TEST(ReversibleEmbeddingTest, GoesBackByTheSameTable) {
  LayerCase layer{
      .class_name = "ReversibleEmbedding",
      .config = R"({"input_dim": 3, "output_dim": 2})",
      .inputs = {ints({1, 2}, {2, 0})},
      .weights = {{"embeddings", {1, 2, 3, 4, 5, 6}}, {"reverse_embeddings", {1, 0, 2, 0, 1, 2}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{5, 6, 1, 2});
  layer.inputs = {floats({1, 2}, {1, 10})};
  layer.arguments = R"({"args": [$0], "kwargs": {"reverse": true}})";
  expect_tensor(run_layer(layer).outputs[0], {1, 3}, Floats{21, 43, 65});
  layer.config = R"({"input_dim": 3, "output_dim": 2, "tie_weights": false,
                     "logit_soft_cap": 10})";
  expect_tensor(run_layer(layer).outputs[0], {1, 3},
                Floats{10 * std::tanh(0.1F), 10 * std::tanh(1.0F), 10 * std::tanh(2.2F)});
}

}  // namespace
}  // namespace kerf::layers
