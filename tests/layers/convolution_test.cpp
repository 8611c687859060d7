#include <gmock/gmock.h>

#include <array>
#include <cmath>
#include <optional>
#include <random>

#include "tests/layers/run_layer.h"
#include "tests/support/make_model.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;
using testing_support::random_tensor;

// One spatial axis of a window, by the rules of Keras' documentation.
struct Axis {
  int size = 1;  // of the input
  int kernel = 1;
  int stride = 1;
  int dilation = 1;
  std::string padding = "valid";

  int extent() const { return (kernel - 1) * dilation + 1; }
  int outputs() const {
    if (padding == "same") return (size + stride - 1) / stride;
    if (padding == "causal") return (size - 1) / stride + 1;
    return (size - extent()) / stride + 1;
  }
  int before() const {
    if (padding == "causal") return extent() - 1;
    if (padding != "same") return 0;
    return std::max((outputs() - 1) * stride + extent() - size, 0) / 2;
  }
  int at(int output, int k) const { return output * stride + k * dilation - before(); }
};

// Cross-correlation of x (n, h, w, c) with w (kh, kw, c / groups, filters), and a bias.
Floats convolve(const Tensor& x, const Floats& w, const Floats& bias, Axis h, Axis v, int groups,
                int filters) {
  const int batch = static_cast<int>(x.shape()[0]);
  const int channels = static_cast<int>(x.shape().back());
  const int in = channels / groups;
  const int per_group = filters / groups;
  Floats y;
  for (int n = 0; n < batch; ++n) {
    for (int i = 0; i < h.outputs(); ++i) {
      for (int j = 0; j < v.outputs(); ++j) {
        for (int f = 0; f < filters; ++f) {
          double sum = bias.empty() ? 0 : bias[static_cast<std::size_t>(f)];
          for (int a = 0; a < h.kernel; ++a) {
            for (int b = 0; b < v.kernel; ++b) {
              const int row = h.at(i, a);
              const int column = v.at(j, b);
              if (row < 0 || row >= h.size || column < 0 || column >= v.size) continue;
              for (int c = 0; c < in; ++c) {
                const int channel = f / per_group * in + c;
                const int from = ((n * h.size + row) * v.size + column) * channels + channel;
                const int kernel = ((a * v.kernel + b) * in + c) * filters + f;
                sum += static_cast<double>(x.as<float>()[static_cast<std::size_t>(from)]) *
                       w[static_cast<std::size_t>(kernel)];
              }
            }
          }
          y.push_back(static_cast<float>(sum));
        }
      }
    }
  }
  return y;
}

Floats values_of(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

struct Options {
  Axis h;
  Axis v;
  int channels;
  int filters;
  int groups;
};

class Conv2DTest : public testing::TestWithParam<Options> {};

TEST_P(Conv2DTest, EqualsTheSums) {
  const Options& o = GetParam();
  std::mt19937 random(1);
  const Tensor x = random_tensor({2, o.h.size, o.v.size, o.channels}, random);
  const Tensor w =
      random_tensor({o.h.kernel, o.v.kernel, o.channels / o.groups, o.filters}, random);
  const Tensor bias = random_tensor({o.filters}, random);
  const auto pair = [](int a, int b) {
    return "[" + std::to_string(a) + ", " + std::to_string(b) + "]";
  };
  const LayerCase layer{
      .class_name = "Conv2D",
      .config = R"({"filters": )" + std::to_string(o.filters) + R"(, "kernel_size": )" +
                pair(o.h.kernel, o.v.kernel) + R"(, "strides": )" + pair(o.h.stride, o.v.stride) +
                R"(, "dilation_rate": )" + pair(o.h.dilation, o.v.dilation) + R"(, "groups": )" +
                std::to_string(o.groups) + R"(, "padding": ")" + o.h.padding + R"("})",
      .inputs = {x},
      .weights = {{"kernel", values_of(w)}, {"bias", values_of(bias)}}};
  expect_tensor(run_layer(layer).outputs[0], {2, o.h.outputs(), o.v.outputs(), o.filters},
                convolve(x, values_of(w), values_of(bias), o.h, o.v, o.groups, o.filters));
}

INSTANTIATE_TEST_SUITE_P(
    All, Conv2DTest,
    testing::Values(Options{{5, 3}, {7, 2}, 3, 4, 1}, Options{{6, 1}, {6, 1}, 4, 8, 1},
                    Options{{7, 3, 2, 1, "same"}, {8, 5, 3, 1, "same"}, 2, 3, 1},
                    Options{{6, 2, 2, 1, "same"}, {5, 2, 2, 1, "same"}, 2, 3, 1},
                    Options{{9, 3, 1, 2, "same"}, {10, 3, 1, 3, "same"}, 2, 3, 1},
                    Options{{9, 3, 1, 3}, {9, 2, 1, 4}, 2, 3, 1}, Options{{5, 3}, {5, 3}, 6, 4, 2},
                    Options{{5, 3}, {5, 3}, 6, 12, 6},
                    Options{{1, 3, 1, 1, "same"}, {1, 3, 1, 1, "same"}, 5, 17, 1},
                    Options{{4, 1, 3, 1, "same"}, {4, 1, 3, 1, "same"}, 3, 3, 3}));

TEST(Conv1DTest, CausalLooksBackOnly) {
  const Axis t{.size = 6, .kernel = 2, .stride = 1, .dilation = 2, .padding = "causal"};
  std::mt19937 random(2);
  const Tensor x = random_tensor({2, 6, 3}, random);
  const Tensor w = random_tensor({2, 3, 4}, random);
  const LayerCase layer{.class_name = "Conv1D",
                        .config = R"({"filters": 4, "kernel_size": 2, "dilation_rate": [2],
                          "padding": "causal", "use_bias": false})",
                        .inputs = {x},
                        .weights = {{"kernel", values_of(w)}}};
  const Tensor wide = x.reshaped({2, 6, 1, 3});
  expect_tensor(run_layer(layer).outputs[0], {2, 6, 4},
                convolve(wide, values_of(w), {}, t, Axis{}, 1, 4));
}

TEST(Conv2DTest, ChannelsFirstIsTheSameBetweenTranspositions) {
  std::mt19937 random(3);
  const Tensor x = random_tensor({1, 2, 3, 4}, random);  // n, c, h, w
  const Tensor w = random_tensor({2, 2, 2, 3}, random);
  Floats last;
  for (std::size_t i = 0; i < 12; ++i) {
    for (std::size_t c = 0; c < 2; ++c) last.push_back(x.as<float>()[c * 12 + i]);
  }
  const Floats y = convolve(floats({1, 3, 4, 2}, last), values_of(w), {}, {3, 2}, {4, 2}, 1, 3);
  Floats first;
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 6; ++i) first.push_back(std::max(y[i * 3 + c], 0.0F));
  }
  LayerCase layer{.class_name = "Conv2D",
                  .config = R"({"filters": 3, "kernel_size": 2, "use_bias": false,
                    "data_format": "channels_first", "activation": "relu"})",
                  .inputs = {x},
                  .weights = {{"kernel", values_of(w)}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 3, 2, 3}, first);
  // Softmax runs over the last axis of the layer's own format: the columns.
  layer.config = R"({"filters": 3, "kernel_size": 2, "use_bias": false,
    "data_format": "channels_first", "activation": "softmax"})";
  Floats softmax;
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t row = 0; row < 2; ++row) {
      double sum = 0;
      for (std::size_t k = 0; k < 3; ++k) sum += std::exp(y[(row * 3 + k) * 3 + c]);
      for (std::size_t k = 0; k < 3; ++k) {
        softmax.push_back(static_cast<float>(std::exp(y[(row * 3 + k) * 3 + c]) / sum));
      }
    }
  }
  expect_tensor(run_layer(layer).outputs[0], {1, 3, 2, 3}, softmax);
}

TEST(DepthwiseConv2DTest, OutputChannelIsInputChannelTimesMultiplierPlusPlace) {
  std::mt19937 random(4);
  const Tensor x = random_tensor({1, 4, 5, 3}, random);
  const Tensor w = random_tensor({3, 2, 3, 2}, random);
  // As a convolution in three groups, whose kernel is (3, 2, 1, 6).
  const LayerCase layer{.class_name = "DepthwiseConv2D",
                        .config = R"({"kernel_size": [3, 2], "depth_multiplier": 2,
                          "strides": [2, 2], "padding": "same"})",
                        .inputs = {x},
                        .weights = {{"kernel", values_of(w)}, {"bias", ramp(6, -1, 0.5F)}}};
  const Axis h{4, 3, 2, 1, "same"};
  const Axis v{5, 2, 2, 1, "same"};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 3, 6},
                convolve(x, values_of(w), ramp(6, -1, 0.5F), h, v, 3, 6));
}

TEST(SeparableConv2DTest, IsADepthwiseAndAPointwiseConvolution) {
  std::mt19937 random(5);
  const Tensor x = random_tensor({1, 4, 4, 2}, random);
  const Tensor depth = random_tensor({3, 3, 2, 2}, random);
  const Tensor point = random_tensor({1, 1, 4, 3}, random);
  const Axis axis{4, 3};
  const Floats middle = convolve(x, values_of(depth), {}, axis, axis, 2, 4);
  const LayerCase layer{.class_name = "SeparableConv2D",
                        .config = R"({"filters": 3, "kernel_size": [3, 3], "depth_multiplier": 2})",
                        .inputs = {x},
                        .weights = {{"depthwise_kernel", values_of(depth)},
                                    {"pointwise_kernel", values_of(point)},
                                    {"bias", {1, 2, 3}}}};
  expect_tensor(
      run_layer(layer).outputs[0], {1, 2, 2, 3},
      convolve(floats({1, 2, 2, 4}, middle), values_of(point), {1, 2, 3}, {2, 1}, {2, 1}, 1, 3));
}

// One axis of a transposed convolution: where it puts its output, by Keras' documentation.
struct TransposedAxis {
  int size;
  int kernel;
  int stride = 1;
  int dilation = 1;
  std::optional<int> output_padding = {};
  std::string padding = "valid";

  int extent() const { return (kernel - 1) * dilation + 1; }
  int outputs() const {
    if (padding == "same") {
      return output_padding ? (size - 1) * stride + extent() % 2 + *output_padding : size * stride;
    }
    return (size - 1) * stride + extent() +
           output_padding.value_or(std::max(extent(), stride) - extent());
  }
  int crop() const {
    if (padding == "valid") return 0;
    const int rest = output_padding ? extent() - extent() % 2 - *output_padding : extent() - stride;
    return std::max(rest / 2, 0);
  }
};

class Conv2DTransposeTest
    : public testing::TestWithParam<std::pair<TransposedAxis, TransposedAxis>> {};

TEST_P(Conv2DTransposeTest, AddsTheKernelForEachCell) {
  const auto& [h, v] = GetParam();
  constexpr int kChannels = 3;
  constexpr int kFilters = 5;
  std::mt19937 random(11);
  const Tensor x = random_tensor({2, h.size, v.size, kChannels}, random);
  const Tensor w = random_tensor({h.kernel, v.kernel, kFilters, kChannels}, random);
  Floats y(static_cast<std::size_t>(2 * h.outputs() * v.outputs() * kFilters));
  for (int n = 0; n < 2; ++n) {
    for (int i = 0; i < h.size * v.size; ++i) {
      for (int tap = 0; tap < h.kernel * v.kernel; ++tap) {
        const int row = i / v.size * h.stride + tap / v.kernel * h.dilation - h.crop();
        const int column = i % v.size * v.stride + tap % v.kernel * v.dilation - v.crop();
        if (row < 0 || row >= h.outputs() || column < 0 || column >= v.outputs()) continue;
        for (int f = 0; f < kFilters; ++f) {
          const int to = ((n * h.outputs() + row) * v.outputs() + column) * kFilters + f;
          for (int c = 0; c < kChannels; ++c) {
            const int from = (n * h.size * v.size + i) * kChannels + c;
            const int kernel = (tap * kFilters + f) * kChannels + c;
            y[static_cast<std::size_t>(to)] += x.as<float>()[static_cast<std::size_t>(from)] *
                                               w.as<float>()[static_cast<std::size_t>(kernel)];
          }
        }
      }
    }
  }
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = std::max(y[i] + 0.5F, 0.0F);
  const auto pair = [](int a, int b) {
    return "[" + std::to_string(a) + ", " + std::to_string(b) + "]";
  };
  LayerCase layer{.class_name = "Conv2DTranspose",
                  .config = R"({"filters": 5, "activation": "relu", "kernel_size": )" +
                            pair(h.kernel, v.kernel) + R"(, "strides": )" +
                            pair(h.stride, v.stride) + R"(, "dilation_rate": )" +
                            pair(h.dilation, v.dilation) + R"(, "padding": ")" + h.padding + "\"",
                  .inputs = {x},
                  .weights = {{"kernel", values_of(w)}, {"bias", Floats(kFilters, 0.5F)}}};
  if (h.output_padding) {
    layer.config += R"(, "output_padding": )" + pair(*h.output_padding, *v.output_padding);
  }
  layer.config += "}";
  expect_tensor(run_layer(layer).outputs[0], {2, h.outputs(), v.outputs(), kFilters}, y);
}

INSTANTIATE_TEST_SUITE_P(
    All, Conv2DTransposeTest,
    testing::Values(std::pair<TransposedAxis, TransposedAxis>{{4, 3}, {5, 2}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 2, 2}, {5, 2, 2}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 3, 2}, {5, 1, 3}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 3, 2, 1, {}, "same"},
                                                              {5, 4, 2, 1, {}, "same"}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 2, 3, 1, {}, "same"},
                                                              {1, 5, 2, 1, {}, "same"}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 3, 2, 1, 1, "same"},
                                                              {5, 4, 3, 1, 0, "same"}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 3, 1, 2}, {5, 2, 1, 3}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 3, 3, 1, 2}, {5, 3, 2, 1, 1}},
                    std::pair<TransposedAxis, TransposedAxis>{{4, 3, 2, 3}, {5, 2, 4, 2}}));

TEST(Conv1DTransposeTest, RefusesWhatCannotBe) {
  const auto refuse = [](const std::string& config) {
    return std::string(refusal_of({.class_name = "Conv1DTranspose",
                                   .config = R"({"filters": 1, "kernel_size": 2, )" + config + "}",
                                   .inputs = {floats({1, 2, 1}, {1, 2})},
                                   .weights = {{"kernel", {1, 1}}, {"bias", {0}}}})
                           .what());
  };
  EXPECT_THAT(refuse(R"("padding": "causal")"), HasSubstr("causal"));
  EXPECT_THAT(refuse(R"("output_padding": -1)"), HasSubstr("output_padding"));
  EXPECT_THAT(refuse(R"("strides": 100000)"), HasSubstr("too large"));
  EXPECT_THAT(refuse(R"("groups": 2)"), HasSubstr("groups"));
}

TEST(ConvTest, IntegerImagesAreConvolvedAsFloats) {
  const LayerCase layer{.class_name = "Conv2D",
                        .config = R"({"filters": 1, "kernel_size": [1, 1], "use_bias": false})",
                        .inputs = {ints({1, 1, 2, 1}, {3, 255})},
                        .weights = {{"kernel", {0.5F}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 1, 2, 1}, Floats{1.5F, 127.5F});
}

TEST(ConvTest, ImpossibleWindowsAreRefused) {
  const auto refuse = [](const std::string& config, const Tensor& x) {
    return std::string(refusal_of({.class_name = "Conv2D",
                                   .config = config,
                                   .inputs = {x},
                                   .weights = {{"kernel", {}}, {"bias", {}}}})
                           .what());
  };
  const Tensor x = floats({1, 2, 2, 3}, ramp(12, 0, 1));
  EXPECT_THAT(refuse(R"({"filters": 1, "kernel_size": [3, 3]})", x), HasSubstr("does not fit"));
  EXPECT_THAT(refuse(R"({"filters": 2, "kernel_size": 1, "groups": 2})", x), HasSubstr("groups"));
  EXPECT_THAT(refuse(R"({"filters": 1, "kernel_size": [1, 1, 1]})", x), HasSubstr("kernel_size"));
  EXPECT_THAT(refuse(R"({"filters": 1, "kernel_size": 0})", x), HasSubstr("window"));
  EXPECT_THAT(refuse(R"({"filters": 1, "kernel_size": 1, "padding": "full"})", x),
              HasSubstr("'full'"));
  EXPECT_THAT(refuse(R"({"filters": 0, "kernel_size": 1})", x), HasSubstr("filters"));
  EXPECT_THAT(refuse(R"({"filters": -4, "kernel_size": 1})", x), HasSubstr("filters"));
  EXPECT_THAT(refuse(R"({"filters": 1, "kernel_size": 1})", floats({1, 3}, {1, 2, 3})),
              HasSubstr("4 dimensions"));
}

TEST(PoolingTest, SamePaddingIsNoPartOfAMaximumOrAMean) {
  const Tensor x = floats({1, 3, 3, 1}, {-1, -2, -3, -4, -5, -6, -7, -8, -9});
  const std::string config = R"({"pool_size": [2, 2], "strides": [2, 2], "padding": "same"})";
  expect_tensor(
      run_layer({.class_name = "MaxPooling2D", .config = config, .inputs = {x}}).outputs[0],
      {1, 2, 2, 1}, Floats{-1, -3, -7, -9});
  expect_tensor(
      run_layer({.class_name = "AveragePooling2D", .config = config, .inputs = {x}}).outputs[0],
      {1, 2, 2, 1}, Floats{-3, -4.5F, -7.5F, -9});
}

TEST(PoolingTest, StridesAreThePoolUnlessGiven) {
  const Tensor x = floats({1, 5, 1}, {1, 5, 2, 4, 3});
  expect_tensor(run_layer({.class_name = "MaxPooling1D",
                           .config = R"({"pool_size": [2], "strides": null})",
                           .inputs = {x}})
                    .outputs[0],
                {1, 2, 1}, Floats{5, 4});
  expect_tensor(run_layer({.class_name = "AveragePooling1D",
                           .config = R"({"pool_size": 3, "strides": 1})",
                           .inputs = {x}})
                    .outputs[0],
                {1, 3, 1}, Floats{8.0F / 3, 11.0F / 3, 3});
}

TEST(GlobalPoolingTest, KeepsDimensionsAndKnowsBothFormats) {
  const Tensor x = floats({1, 2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  const auto run = [&](const std::string& name, const std::string& config) {
    return run_layer({.class_name = name, .config = config, .inputs = {x}}).outputs[0];
  };
  expect_tensor(run("GlobalAveragePooling2D", "{}"), {1, 2}, Floats{4, 5});
  expect_tensor(run("GlobalMaxPooling2D", R"({"keepdims": true})"), {1, 1, 1, 2}, Floats{7, 8});
  expect_tensor(run("GlobalMaxPooling2D", R"({"data_format": "channels_first"})"), {1, 2},
                Floats{4, 8});
}

TEST(GlobalPoolingTest, TheMeanIsOverTheStepsThatCount) {
  LayerCase layer{.class_name = "GlobalAveragePooling1D",
                  .inputs = {floats({2, 3, 2}, {1, 2, -9, -9, 3, 6, -9, -9, -9, -9, 5, 7})},
                  .masked_value = -9};
  const LayerResult result = run_layer(layer);
  expect_tensor(result.outputs[0], {2, 2}, Floats{2, 4, 5, 7});
  EXPECT_FALSE(result.masks[0].has_value());
  // The maximum does not look at the mask: masked steps are zeros.
  layer.class_name = "GlobalMaxPooling1D";
  layer.inputs = {floats({1, 2, 1}, {-3, -9})};
  expect_tensor(run_layer(layer).outputs[0], {1, 1}, Floats{0});
}

}  // namespace
}  // namespace kerf::layers
