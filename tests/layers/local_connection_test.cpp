#include <gmock/gmock.h>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

// A kernel (places, depth, filters), what each place sees, and the bias (places, filters).
Floats locally(const std::vector<Floats>& seen, const Floats& kernel, const Floats& bias,
               std::size_t filters) {
  Floats y;
  for (std::size_t place = 0; place < seen.size(); ++place) {
    for (std::size_t f = 0; f < filters; ++f) {
      float sum = bias[place * filters + f];
      for (std::size_t i = 0; i < seen[place].size(); ++i) {
        sum += seen[place][i] * kernel[(place * seen[place].size() + i) * filters + f];
      }
      y.push_back(sum);
    }
  }
  return y;
}

TEST(LocallyConnected1DTest, HasAKernelForEveryStep) {
  const Floats x = ramp(10, -1, 0.25F);  // 5 steps of 2 channels
  const Floats kernel = ramp(2 * 6 * 3, -0.5F, 0.03125F);
  const Floats bias = ramp(6, 0, 1);
  const LayerCase layer{.class_name = "LocallyConnected1D",
                        .config = R"({"filters": 3, "kernel_size": [3], "strides": [2]})",
                        .inputs = {floats({1, 5, 2}, x)},
                        .weights = {{"kernel", kernel}, {"bias", bias}},
                        .version = {2, 6}};
  expect_tensor(
      run_layer(layer).outputs[0], {1, 2, 3},
      locally({{x.begin(), x.begin() + 6}, {x.begin() + 4, x.begin() + 10}}, kernel, bias, 3));
}

TEST(LocallyConnected2DTest, SeesPatchesOfTheImage) {
  const Floats x = ramp(3 * 3 * 2, 1, 0.5F);
  const Floats kernel = ramp(4 * 8 * 1, -1, 0.0625F);
  const Floats bias = {1, 2, 3, 4};
  std::vector<Floats> seen;
  for (const std::size_t row : {0U, 1U}) {
    for (const std::size_t column : {0U, 1U}) {
      Floats patch;
      for (const std::size_t i : {0U, 1U}) {
        for (std::size_t j = 0; j < 4; ++j) patch.push_back(x[((row + i) * 3 + column) * 2 + j]);
      }
      seen.push_back(patch);
    }
  }
  LayerCase layer{.class_name = "LocallyConnected2D",
                  .config = R"({"filters": 1, "kernel_size": [2, 2], "activation": "relu"})",
                  .inputs = {floats({1, 3, 3, 2}, x)},
                  .weights = {{"kernel", kernel}, {"bias", bias}},
                  .version = {2, 6}};
  Floats y = locally(seen, kernel, bias, 1);
  for (float& value : y) value = std::max(value, 0.0F);
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2, 1}, y);

  // With channels first, a patch lines up channel by channel, and so does the image.
  Floats first(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) first[i % 2 * 9 + i / 2] = x[i];
  for (Floats& patch : seen) {
    const Floats last = patch;
    for (std::size_t i = 0; i < 8; ++i) patch[i % 2 * 4 + i / 2] = last[i];
  }
  y = locally(seen, kernel, bias, 1);
  layer.config = R"({"filters": 1, "kernel_size": [2, 2], "data_format": "channels_first"})";
  layer.inputs = {floats({1, 2, 3, 3}, first)};
  expect_tensor(run_layer(layer).outputs[0], {1, 1, 2, 2}, y);
}

TEST(LocallyConnected1DTest, OrIsOneMatrix) {
  // (steps in, channels, steps out, filters): each output is the sum of both inputs times its
  // place.
  const LayerCase layer{
      .class_name = "LocallyConnected1D",
      .config = R"({"filters": 1, "kernel_size": [2], "implementation": 2, "use_bias": false})",
      .inputs = {floats({1, 3, 1}, {1, 2, 4})},
      .weights = {{"kernel", {1, 0, 1, 10, 0, 10}}},
      .version = {2, 6}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 1}, Floats{3, 60});
}

TEST(LocallyConnected1DTest, RefusesWhatItCannotRead) {
  LayerCase layer{.class_name = "LocallyConnected1D",
                  .config = R"({"filters": 1, "kernel_size": [2], "implementation": 3})",
                  .inputs = {floats({1, 3, 1}, {1, 2, 4})},
                  .version = {2, 6}};
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("list"));
  layer.config = R"({"filters": 1, "kernel_size": [4]})";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("larger than the input"));
}

}  // namespace
}  // namespace kerf::layers
