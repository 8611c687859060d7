#include <gmock/gmock.h>

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

}  // namespace
}  // namespace kerf::layers
