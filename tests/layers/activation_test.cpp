#include <gmock/gmock.h>

#include <cmath>
#include <functional>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

const Floats kPoints{-7.5F, -3, -2.25F, -1, -0.5F, -0.25F, 0, 0.25F, 0.5F, 1, 2.25F, 3, 6.5F, 20};

struct Named {
  std::string name;
  std::function<double(double)> formula;
  formats::KerasVersion version{3, 16};
  friend void PrintTo(const Named& value, std::ostream* out) { *out << value.name; }
};

double clip(double x, double low, double high) { return std::min(std::max(x, low), high); }
double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

class NamedActivationTest : public testing::TestWithParam<Named> {};

TEST_P(NamedActivationTest, EqualsItsFormula) {
  const Shape shape{1, static_cast<std::int64_t>(kPoints.size())};
  Floats expected;
  for (const float x : kPoints) expected.push_back(static_cast<float>(GetParam().formula(x)));
  const LayerCase layer{.class_name = "Activation",
                        .config = R"({"activation": ")" + GetParam().name + R"("})",
                        .inputs = {floats(shape, kPoints)},
                        .version = GetParam().version};
  expect_tensor(run_layer(layer).outputs[0], shape, expected);
}

// The formulas of Keras' documentation.
INSTANTIATE_TEST_SUITE_P(
    All, NamedActivationTest,
    testing::Values(
        Named{"linear", [](double x) { return x; }},
        Named{"relu", [](double x) { return std::max(x, 0.0); }},
        Named{"relu6", [](double x) { return clip(x, 0, 6); }},
        Named{"leaky_relu", [](double x) { return x >= 0 ? x : 0.2 * x; }},
        Named{"elu", [](double x) { return x > 0 ? x : std::expm1(x); }},
        Named{"selu",
              [](double x) {
                return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x));
              }},
        Named{"celu", [](double x) { return std::max(x, 0.0) + std::expm1(std::min(x, 0.0)); }},
        Named{"gelu", [](double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2))); }},
        Named{"sigmoid", sigmoid},
        Named{"hard_sigmoid", [](double x) { return clip(x / 6 + 0.5, 0, 1); }},
        Named{"hard_sigmoid", [](double x) { return clip(0.2 * x + 0.5, 0, 1); }, {2, 15}},
        Named{"hard_silu", [](double x) { return x * clip(x / 6 + 0.5, 0, 1); }},
        Named{"hard_swish", [](double x) { return x * clip(x / 6 + 0.5, 0, 1); }},
        Named{"silu", [](double x) { return x * sigmoid(x); }},
        Named{"swish", [](double x) { return x * sigmoid(x); }},
        Named{"tanh", [](double x) { return std::tanh(x); }},
        Named{"hard_tanh", [](double x) { return clip(x, -1, 1); }},
        Named{"tanh_shrink", [](double x) { return x - std::tanh(x); }},
        Named{"softplus", softplus},
        Named{"softsign", [](double x) { return x / (1 + std::abs(x)); }},
        Named{"soft_shrink", [](double x) { return x > 0.5    ? x - 0.5
                                                   : x < -0.5 ? x + 0.5
                                                              : 0; }},
        Named{"hard_shrink", [](double x) { return std::abs(x) > 0.5 ? x : 0; }},
        Named{"squareplus", [](double x) { return (x + std::sqrt(x * x + 4)) / 2; }},
        Named{"sparse_plus",
              [](double x) { return x <= -1  ? 0
                                    : x >= 1 ? x
                                             : (x + 1) * (x + 1) / 4; }},
        Named{"sparse_sigmoid", [](double x) { return clip((x + 1) / 2, 0, 1); }},
        Named{"log_sigmoid", [](double x) { return -softplus(-x); }},
        Named{"mish", [](double x) { return x * std::tanh(softplus(x)); }}),
    [](const auto& test) {
      return test.param.name + "_keras" + std::to_string(test.param.version.major);
    });

TEST(ActivationTest, ExponentialAndTheSoftmaxes) {
  const Floats x{0, 1, 2, -1, -1, -1};
  const double sum = 1 + std::exp(1) + std::exp(2);
  Floats softmax;
  Floats logs;
  Floats exponentials;
  for (const float v : x) exponentials.push_back(std::exp(v));
  for (int i = 0; i < 3; ++i) softmax.push_back(static_cast<float>(std::exp(i) / sum));
  for (int i = 0; i < 3; ++i) softmax.push_back(1.0F / 3);
  for (const float v : softmax) logs.push_back(std::log(v));
  const auto run = [&](const std::string& name) {
    return run_layer({.class_name = "Activation",
                      .config = R"({"activation": ")" + name + R"("})",
                      .inputs = {floats({2, 3}, x)}})
        .outputs[0];
  };
  expect_tensor(run("exponential"), {2, 3}, exponentials);
  for (const char* name : {"softmax", "softmax_v2"}) expect_tensor(run(name), {2, 3}, softmax);
  expect_tensor(run("log_softmax"), {2, 3}, logs);
}

TEST(ActivationTest, GluHalvesTheChannels) {
  const LayerCase layer{.class_name = "Activation",
                        .config = R"({"activation": "glu"})",
                        .inputs = {floats({1, 4}, {1, 2, 0, 3})}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2},
                Floats{0.5F, static_cast<float>(2 * sigmoid(3))});
}

TEST(ActivationTest, AFunctionReferenceOrALayerMayStandForAName) {
  for (const char* config :
       {R"({"activation": {"class_name": "LeakyReLU", "config": {"negative_slope": 0.5}}})",
        R"({"activation": {"module": "keras.layers", "class_name": "LeakyReLU",
            "config": {"name": "a", "alpha": 0.5}}})"}) {
    expect_tensor(
        run_layer(
            {.class_name = "Activation", .config = config, .inputs = {floats({1, 2}, {-2, 2})}})
            .outputs[0],
        {1, 2}, Floats{-1, 2});
  }
  expect_tensor(run_layer({.class_name = "Activation",
                           .config = R"({"activation": {"module": "builtins", "class_name":
                             "function", "config": "relu6", "registered_name": "relu6"}})",
                           .inputs = {floats({1, 2}, {-2, 9})}})
                    .outputs[0],
                {1, 2}, Floats{0, 6});
}

TEST(ActivationTest, UnknownFunctionsAreRefusedByNameAndField) {
  const Error error = refusal_of({.class_name = "Activation",
                                  .config = R"({"activation": "my_function"})",
                                  .inputs = {floats({1, 2}, {0, 0})}});
  EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(error.what(), HasSubstr("layer 'layer' (Activation), field activation"));
  EXPECT_THAT(error.what(), HasSubstr("my_function"));
}

TEST(ReluTest, HasASlopeAMaximumAndAThreshold) {
  const Floats x{-4, -1, 0, 0.5F, 1, 2, 9};
  const auto run = [&](const std::string& config) {
    return run_layer({.class_name = "ReLU", .config = config, .inputs = {floats({1, 7}, x)}})
        .outputs[0];
  };
  expect_tensor(run("{}"), {1, 7}, Floats{0, 0, 0, 0.5F, 1, 2, 9});
  expect_tensor(run(R"({"max_value": 1.5, "negative_slope": 0.5, "threshold": 0.0})"), {1, 7},
                Floats{-2, -0.5F, 0, 0.5F, 1, 1.5F, 1.5F});
  // At the threshold itself Keras gives zero.
  expect_tensor(run(R"({"max_value": null, "negative_slope": 0.25, "threshold": 1.0})"), {1, 7},
                Floats{-1.25F, -0.5F, -0.25F, -0.125F, 0, 2, 9});
}

TEST(ReluTest, LeakyReluHasTwoNamesForItsSlope) {
  const Floats x{-2, 3};
  const auto run = [&](const std::string& config, int major) {
    return run_layer({.class_name = "LeakyReLU",
                      .config = config,
                      .inputs = {floats({1, 2}, x)},
                      .version = {major, 0}})
        .outputs[0];
  };
  expect_tensor(run("{}", 3), {1, 2}, Floats{-0.6F, 3});
  expect_tensor(run(R"({"negative_slope": 0.1})", 3), {1, 2}, Floats{-0.2F, 3});
  expect_tensor(run(R"({"alpha": 0.1})", 2), {1, 2}, Floats{-0.2F, 3});
}

TEST(ReluTest, EluAndThresholdedRelu) {
  expect_tensor(
      run_layer(
          {.class_name = "ELU", .config = R"({"alpha": 2.0})", .inputs = {floats({1, 2}, {-1, 1})}})
          .outputs[0],
      {1, 2}, Floats{static_cast<float>(2 * std::expm1(-1.0)), 1});
  expect_tensor(run_layer({.class_name = "ThresholdedReLU",
                           .config = R"({"theta": 1.0})",
                           .inputs = {floats({1, 3}, {-1, 1, 1.5F})},
                           .version = {2, 15}})
                    .outputs[0],
                {1, 3}, Floats{0, 0, 1.5F});
}

TEST(PReluTest, SharesSlopesOverAxes) {
  const Tensor x = floats({1, 2, 2}, {-1, -2, -3, 4});
  expect_tensor(
      run_layer(
          {.class_name = "PReLU", .inputs = {x}, .weights = {{"alpha", {0.1F, 0.2F, 0.3F, 0.4F}}}})
          .outputs[0],
      {1, 2, 2}, Floats{-0.1F, -0.4F, -0.9F, 4});
  expect_tensor(run_layer({.class_name = "PReLU",
                           .config = R"({"shared_axes": [1]})",
                           .inputs = {x},
                           .weights = {{"alpha", {0.5F, 0.25F}}}})
                    .outputs[0],
                {1, 2, 2}, Floats{-0.5F, -0.5F, -1.5F, 4});
}

TEST(SoftmaxTest, RunsOverAnyAxes) {
  const Tensor x = floats({1, 2, 2}, {0, 1, 2, 3});
  const auto e = [](double v) { return std::exp(v); };
  const auto run = [&](const std::string& config) {
    return run_layer({.class_name = "Softmax", .config = config, .inputs = {x}}).outputs[0];
  };
  const auto share = [&](double v, double other) {
    return static_cast<float>(e(v) / (e(v) + e(other)));
  };
  expect_tensor(run("{}"), {1, 2, 2}, Floats{share(0, 1), share(1, 0), share(2, 3), share(3, 2)});
  expect_tensor(run(R"({"axis": 1})"), {1, 2, 2},
                Floats{share(0, 2), share(1, 3), share(2, 0), share(3, 1)});
  const double sum = e(0) + e(1) + e(2) + e(3);
  Floats both;
  for (int i = 0; i < 4; ++i) both.push_back(static_cast<float>(e(i) / sum));
  expect_tensor(run(R"({"axis": [1, 2]})"), {1, 2, 2}, both);
  expect_tensor(run(R"({"axis": [-1, -2]})"), {1, 2, 2}, both);
}

TEST(SoftmaxTest, LeavesOutWhatIsMasked) {
  const std::vector<std::uint8_t> mask{1, 0, 1};
  const LayerCase layer{
      .class_name = "Softmax",
      .inputs = {floats({1, 3}, {0, 5, 1}), Tensor::of<std::uint8_t>(DType::kBool, {1, 3}, mask)},
      .arguments = R"({"args": [$0], "kwargs": {"mask": $1}})"};
  const float first = static_cast<float>(1 / (1 + std::exp(1)));
  expect_tensor(run_layer(layer).outputs[0], {1, 3}, Floats{first, 0, 1 - first});
  LayerCase positional = layer;
  positional.arguments = R"({"args": [$0, $1], "kwargs": {}})";
  expect_tensor(run_layer(positional).outputs[0], {1, 3}, Floats{first, 0, 1 - first});
}

}  // namespace
}  // namespace kerf::layers
