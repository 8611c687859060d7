#include <gmock/gmock.h>

#include "tests/layers/run_layer.h"

// Numbers worked out by hand; filters beyond the linear one are held to Keras by the golden models.
namespace kerf::layers {
namespace {

using testing::HasSubstr;

Tensor run(const std::string& name, const std::string& config, const Tensor& x) {
  return run_layer({.class_name = name, .config = config, .inputs = {x}}).outputs[0];
}

TEST(UpSamplingTest, RepeatsCells) {
  expect_tensor(run("UpSampling1D", R"({"size": 2})", floats({1, 2, 2}, {1, 2, 3, 4})), {1, 4, 2},
                Floats{1, 2, 1, 2, 3, 4, 3, 4});
  const Tensor image = floats({1, 1, 2, 1}, {1, 2});
  expect_tensor(run("UpSampling2D", R"({"size": [2, 3]})", image), {1, 2, 6, 1},
                Floats{1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2});
  expect_tensor(
      run("UpSampling2D", R"({"data_format": "channels_first"})", floats({1, 1, 1, 2}, {1, 2})),
      {1, 1, 2, 4}, Floats{1, 1, 2, 2, 1, 1, 2, 2});
  expect_tensor(run("UpSampling3D", R"({"size": [1, 1, 2]})", floats({1, 1, 1, 2, 1}, {1, 2})),
                {1, 1, 1, 4, 1}, Floats{1, 1, 2, 2});
  EXPECT_EQ(run("UpSampling1D", R"({"size": 2})", ints({1, 1, 1}, {5})).dtype(), DType::kInt32);
}

TEST(UpSamplingTest, InterpolatesBetweenCentres) {
  const Tensor image = floats({1, 1, 2, 1}, {1, 3});
  const std::string config = R"({"size": [1, 2], "interpolation": "bilinear"})";
  expect_tensor(run("UpSampling2D", config, image), {1, 1, 4, 1}, Floats{1, 1.5F, 2.5F, 3});
  LayerCase layer{.class_name = "UpSampling2D", .config = config, .inputs = {image}};
  layer.version = {2, 3};
  EXPECT_EQ(refusal_of(layer).code(), ErrorCode::kUnsupported);
  layer.version = {2, 4};
  layer.inputs = {ints({1, 1, 2, 1}, {1, 3})};
  expect_tensor(run_layer(layer).outputs[0], {1, 1, 4, 1}, Floats{1, 1.5F, 2.5F, 3});
  layer.version = {3, 4};
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("int32"));
  layer.config = R"({"interpolation": "area"})";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("'area'"));
}

TEST(AdaptivePoolingTest, WindowsOverlapWhereSizesDoNotDivide) {
  const Tensor x = floats({1, 5, 1}, {1, 5, 3, 9, 7});
  // [0, 2), [1, 4), [3, 5).
  expect_tensor(run("AdaptiveAveragePooling1D", R"({"output_size": [3]})", x), {1, 3, 1},
                Floats{3, 17.0F / 3, 8});
  expect_tensor(run("AdaptiveMaxPooling1D", R"({"output_size": 3})", x), {1, 3, 1},
                Floats{5, 9, 9});
  const Tensor image = floats({1, 2, 3, 1}, {1, 2, 3, 4, 5, 12});
  expect_tensor(run("AdaptiveAveragePooling2D", R"({"output_size": [1, 2]})", image), {1, 1, 2, 1},
                Floats{3, 5.5F});
  expect_tensor(
      run("AdaptiveMaxPooling2D", R"({"output_size": [1, 1], "data_format": "channels_first"})",
          floats({1, 2, 1, 2}, {1, 2, 4, 3})),
      {1, 2, 1, 1}, Floats{2, 4});
  expect_tensor(run("AdaptiveMaxPooling1D", R"({"output_size": 4})", floats({1, 2, 1}, {1, 2})),
                {1, 4, 1}, Floats{1, 1, 2, 2});
}

TEST(ResizingTest, KeepsOrGivesUpTheShapeOfTheImage) {
  const Tensor image = floats({1, 2, 4, 1}, {0, 1, 2, 3, 4, 5, 6, 7});
  const std::string size = R"("height": 2, "width": 2)";
  expect_tensor(run("Resizing", "{" + size + R"(, "interpolation": "nearest"})", image),
                {1, 2, 2, 1}, Floats{1, 3, 5, 7});
  expect_tensor(run("Resizing", "{" + size + "}", image), {1, 2, 2, 1},
                Floats{0.5F, 2.5F, 4.5F, 6.5F});
  // Weights 3, 3, 1 of 7 and their mirror image.
  expect_tensor(run("Resizing", "{" + size + R"(, "antialias": true})", image), {1, 2, 2, 1},
                Floats{5.0F / 7, 16.0F / 7, 33.0F / 7, 44.0F / 7});
  expect_tensor(run("Resizing", "{" + size + R"(, "crop_to_aspect_ratio": true})", image),
                {1, 2, 2, 1}, Floats{1, 2, 5, 6});
  expect_tensor(run("Resizing", R"({"height": 4, "width": 4, "pad_to_aspect_ratio": true,
                    "fill_value": -1})",
                    image),
                {1, 4, 4, 1}, Floats{-1, -1, -1, -1, 0, 1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1});
}

TEST(CenterCropTest, ResizesWhatIsTooSmall) {
  const Tensor image = floats({1, 3, 4, 1}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  expect_tensor(run("CenterCrop", R"({"height": 2, "width": 1})", image), {1, 2, 1, 1},
                Floats{1, 5});
  // The middle 1 x 4 of it is two rows high.
  expect_tensor(run("CenterCrop", R"({"height": 2, "width": 8})", image), {1, 2, 8, 1},
                Floats{4, 4.25F, 4.75F, 5.25F, 5.75F, 6.25F, 6.75F, 7, 4, 4.25F, 4.75F, 5.25F,
                       5.75F, 6.25F, 6.75F, 7});
}

TEST(RandomLayersTest, DoNothing) {
  const Tensor image = floats({1, 2, 2, 1}, {0, 1, 2, 3});
  expect_tensor(run("RandomFlip", R"({"mode": "horizontal"})", image), {1, 2, 2, 1},
                Floats{0, 1, 2, 3});
  expect_tensor(run("RandomRotation", R"({"factor": 0.5})", ints({1, 1, 1, 1}, {7})), {1, 1, 1, 1},
                Floats{7});
  LayerCase crop{
      .class_name = "RandomCrop", .config = R"({"height": 1, "width": 1})", .inputs = {image}};
  expect_tensor(run_layer(crop).outputs[0], {1, 2, 2, 1}, Floats{0, 1, 2, 3});
  crop.version = {2, 12};
  expect_tensor(run_layer(crop).outputs[0], {1, 1, 1, 1}, Floats{1.5F});
  crop.version = {3, 7};
  EXPECT_EQ(refusal_of(crop).code(), ErrorCode::kUnsupported);
}

TEST(AutoContrastTest, StretchesEveryChannel) {
  LayerCase layer{.class_name = "AutoContrast",
                  .config = R"({"value_range": [0, 255]})",
                  .inputs = {floats({1, 1, 3, 2}, {10, 7, 20, 7, 60, 7})}};
  expect_tensor(run_layer(layer).outputs[0], {1, 1, 3, 2}, Floats{0, 7, 51, 7, 255, 7});
  layer.config = R"({"value_range": [-1, 1]})";
  layer.inputs = {floats({1, 1, 3, 1}, {0, 0.25F, 0.5F})};
  expect_tensor(run_layer(layer).outputs[0], {1, 1, 3, 1}, Floats{-1, 0, 1});
  layer.config = "{}";
  layer.inputs = {ints({1, 1, 3, 1}, {0, 100, 101})};
  const Tensor bytes = run_layer(layer).outputs[0];
  EXPECT_EQ(bytes.dtype(), DType::kInt32);
  expect_tensor(bytes, {1, 1, 3, 1}, Floats{0, 252, 255});
}

}  // namespace
}  // namespace kerf::layers
