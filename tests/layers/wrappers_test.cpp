#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "tests/layers/run_layer.h"
#include "tests/support/make_model.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;
using testing_support::random_tensor;

constexpr int kBatch = 2;
constexpr int kSteps = 4;
constexpr int kIn = 3;
constexpr int kUnits = 2;

Floats values_of(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

class WrappersTest : public testing::Test {
 protected:
  std::map<std::string, Floats> rnn_weights(const std::string& below, int in = kIn) {
    return {{below + "kernel", values_of(random_tensor({in, kUnits}, random_))},
            {below + "recurrent_kernel", values_of(random_tensor({kUnits, kUnits}, random_))},
            {below + "bias", values_of(random_tensor({kUnits}, random_))}};
  }
  // The same weights under other names.
  static void add(std::map<std::string, Floats>& to, const std::map<std::string, Floats>& weights,
                  const std::string& before) {
    for (const auto& [name, values] : weights) to[before + name] = values;
  }
  Floats rnn(const std::map<std::string, Floats>& weights, bool backwards, const Tensor& x) {
    return values_of(run_layer({.class_name = "SimpleRNN",
                                .config = std::string(R"({"units": 2, "return_sequences": true,
                                   "go_backwards": )") +
                                          (backwards ? "true}" : "false}"),
                                .inputs = {x},
                                .weights = weights})
                         .outputs[0]);
  }

  std::mt19937 random_{5};
  Tensor x_ = random_tensor({kBatch, kSteps, kIn}, random_);
};

TEST_F(WrappersTest, BidirectionalMergesBothDirections) {
  const auto forward = rnn_weights("cell/");
  const auto backward = rnn_weights("cell/");
  std::map<std::string, Floats> both;
  add(both, forward, "forward_layer/");
  add(both, backward, "backward_layer/");
  const Floats there = rnn(forward, false, x_);
  const Floats back = rnn(backward, true, x_);
  const auto at = [&](int n, int t, int u) {
    return static_cast<std::size_t>((n * kSteps + t) * kUnits + u);
  };
  const std::map<std::string, std::function<float(float, float)>> modes{
      {"sum", [](float a, float b) { return a + b; }},
      {"mul", [](float a, float b) { return a * b; }},
      {"ave", [](float a, float b) { return (a + b) / 2; }}};
  for (const auto& [mode, merge] : modes) {
    Floats expected(there.size());
    for (int n = 0; n < kBatch; ++n) {
      for (int t = 0; t < kSteps; ++t) {
        for (int u = 0; u < kUnits; ++u) {
          expected[at(n, t, u)] = merge(there[at(n, t, u)], back[at(n, kSteps - 1 - t, u)]);
        }
      }
    }
    // As Keras 2 may write it, without the backward layer.
    const LayerResult result = run_layer(
        {.class_name = "Bidirectional",
         .config = R"({"merge_mode": ")" + mode + R"(", "layer": {"class_name": "SimpleRNN",
           "config": {"name": "rnn", "units": 2, "return_sequences": true}}})",
         .inputs = {x_},
         .weights = both});
    expect_tensor(result.outputs[0], {kBatch, kSteps, kUnits}, expected);
  }
}

TEST_F(WrappersTest, AStackOfCellsIsAStackOfLayers) {
  const auto lower = rnn_weights("");
  const auto upper = rnn_weights("", kUnits);
  std::map<std::string, Floats> own;
  add(own, lower, "cell/");
  const Tensor middle = floats({kBatch, kSteps, kUnits}, rnn(own, false, x_));
  own.clear();
  add(own, upper, "cell/");
  const Floats expected = rnn(own, false, middle);
  std::map<std::string, Floats> both;
  add(both, lower, "cell/cells/simple_rnn_cell/");
  add(both, upper, "cell/cells/simple_rnn_cell_1/");
  const LayerResult result =
      run_layer({.class_name = "RNN",
                 .config = R"({"return_sequences": true, "return_state": true,
        "cell": {"class_name": "StackedRNNCells", "config": {"name": "stack", "cells": [
          {"class_name": "SimpleRNNCell", "config": {"name": "a", "units": 2}},
          {"class_name": "SimpleRNNCell", "config": {"name": "b", "units": 2}}]}}})",
                 .inputs = {x_},
                 .weights = both});
  ASSERT_EQ(result.outputs.size(), 3U);
  expect_tensor(result.outputs[0], {kBatch, kSteps, kUnits}, expected);
}

TEST_F(WrappersTest, TimeDistributedRunsAModelOnEveryStep) {
  const Floats kernel = values_of(random_tensor({6, 2}, random_));
  const Tensor x = random_tensor({kBatch, kSteps, 2, 3}, random_);
  const Floats flat = values_of(run_layer({.class_name = "Dense",
                                           .config = R"({"units": 2, "use_bias": false})",
                                           .inputs = {x.reshaped({kBatch, kSteps, 6})},
                                           .weights = {{"kernel", kernel}}})
                                    .outputs[0]);
  const LayerResult result = run_layer({.class_name = "TimeDistributed",
                                        .config = R"({"layer": {"class_name": "Sequential",
        "config": {"name": "inner", "layers": [
          {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [null, 2, 3]}},
          {"class_name": "Flatten", "config": {"name": "flat"}},
          {"class_name": "Dense", "config": {"name": "d", "units": 2, "use_bias": false}}]}}})",
                                        .inputs = {x},
                                        .weights = {{"layer/layers/dense/kernel", kernel}}});
  expect_tensor(result.outputs[0], {kBatch, kSteps, 2}, flat);
}

TEST_F(WrappersTest, RefusesWhatItHoldsButDoesNotKnow) {
  const Error cell =
      refusal_of({.class_name = "RNN",
                  .config = R"({"cell": {"class_name": "TheirCell", "module": "theirs",
                                   "config": {"name": "c"}}})",
                  .inputs = {x_}});
  EXPECT_EQ(cell.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(cell.what(), HasSubstr("TheirCell"));
  const Error inner = refusal_of({.class_name = "TimeDistributed",
                                  .config = R"({"layer": {"class_name": "Strange",
                                    "config": {"name": "s"}}})",
                                  .inputs = {x_}});
  EXPECT_EQ(inner.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(inner.what(), HasSubstr("Strange"));
  EXPECT_EQ(refusal_of({.class_name = "Bidirectional", .inputs = {x_}}).code(),
            ErrorCode::kInvalidFile);
}

TEST(SpectralNormalizationTest, IsTheLayerItWraps) {
  const LayerCase layer{.class_name = "SpectralNormalization",
                        .config = R"({"power_iterations": 1, "layer": {"class_name": "Dense",
                            "config": {"name": "dense", "units": 1}}})",
                        .inputs = {floats({1, 2}, {1, 2})},
                        .weights = {{"layer/kernel", {3, 4}}, {"layer/bias", {1}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 1}, Floats{12});
}

TEST(PipelineTest, CallsItsLayersInOrder) {
  const LayerCase layer{.class_name = "Pipeline",
                        .config = R"({"layers": [
          {"class_name": "Rescaling", "config": {"name": "a", "scale": 2, "offset": 1}},
          {"class_name": "Rescaling", "config": {"name": "b", "scale": 10, "offset": 0}}]})",
                        .inputs = {floats({1, 2}, {1, 2})}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2}, Floats{30, 50});
}

}  // namespace
}  // namespace kerf::layers
