#include <gmock/gmock.h>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

Tensor run(const std::string& name, const std::string& config, const Tensor& x) {
  return run_layer({.class_name = name, .config = config, .inputs = {x}}).outputs[0];
}

TEST(ReshapingTest, FlattenPutsChannelsLastFirst) {
  const Tensor x = floats({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  expect_tensor(run("Flatten", "{}", x), {1, 6}, Floats{1, 2, 3, 4, 5, 6});
  expect_tensor(run("Flatten", R"({"data_format": "channels_first"})", x), {1, 6},
                Floats{1, 4, 2, 5, 3, 6});
  expect_tensor(run("Flatten", "{}", floats({2}, {1, 2})), {2, 1}, Floats{1, 2});
}

TEST(ReshapingTest, ReshapeInfersOneDimension) {
  const Tensor x = floats({1, 6}, {1, 2, 3, 4, 5, 6});
  const Floats same{1, 2, 3, 4, 5, 6};
  expect_tensor(run("Reshape", R"({"target_shape": [2, 3]})", x), {1, 2, 3}, same);
  expect_tensor(run("Reshape", R"({"target_shape": [3, -1]})", x), {1, 3, 2}, same);
  expect_tensor(run("Reshape", R"({"target_shape": [null, 6, 1]})", x), {1, 1, 6, 1}, same);
  EXPECT_THAT(
      refusal_of({.class_name = "Reshape", .config = R"({"target_shape": [4]})", .inputs = {x}})
          .what(),
      HasSubstr("cannot be reshaped"));
  EXPECT_THAT(
      refusal_of(
          {.class_name = "Reshape", .config = R"({"target_shape": [-1, -1]})", .inputs = {x}})
          .what(),
      HasSubstr("more than one dimension open"));
}

TEST(ReshapingTest, PermuteCountsAxesFromOne) {
  const Tensor x = floats({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  expect_tensor(run("Permute", R"({"dims": [2, 1]})", x), {1, 3, 2}, Floats{1, 4, 2, 5, 3, 6});
  for (const char* dims : {"[1]", "[0, 1]", "[1, 1]", "[1, 3]"}) {
    const Error error = refusal_of({.class_name = "Permute",
                                    .config = std::string(R"({"dims": )") + dims + "}",
                                    .inputs = {x}});
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile) << dims;
    EXPECT_THAT(error.where(), HasSubstr("layer 'layer' (Permute)")) << dims;
  }
}

TEST(ReshapingTest, RepeatVectorPaddingAndCropping) {
  expect_tensor(run("RepeatVector", R"({"n": 2})", floats({1, 2}, {1, 2})), {1, 2, 2},
                Floats{1, 2, 1, 2});
  EXPECT_THAT(refusal_of({.class_name = "RepeatVector",
                          .config = R"({"n": -1})",
                          .inputs = {floats({1, 2}, {1, 2})}})
                  .what(),
              HasSubstr("field n"));
  const Tensor steps = floats({1, 2, 1}, {1, 2});
  expect_tensor(run("ZeroPadding1D", R"({"padding": [1, 2]})", steps), {1, 5, 1},
                Floats{0, 1, 2, 0, 0});
  expect_tensor(run("Cropping1D", R"({"cropping": [1, 0]})", steps), {1, 1, 1}, Floats{2});
  const Tensor image = floats({1, 2, 2, 1}, {1, 2, 3, 4});
  expect_tensor(run("ZeroPadding2D", R"({"padding": [[1, 0], [0, 1]]})", image), {1, 3, 3, 1},
                Floats{0, 0, 0, 1, 2, 0, 3, 4, 0});
  expect_tensor(run("ZeroPadding2D", R"({"padding": [0, 1]})", image), {1, 2, 4, 1},
                Floats{0, 1, 2, 0, 0, 3, 4, 0});
  expect_tensor(run("Cropping2D", R"({"cropping": [[0, 1], [1, 0]]})", image), {1, 1, 1, 1},
                Floats{2});
  const Tensor volume = floats({1, 1, 2, 2, 1}, {1, 2, 3, 4});
  expect_tensor(run("ZeroPadding3D", R"({"padding": [[1, 0], 0, [0, 1]]})", volume),
                {1, 2, 2, 3, 1}, Floats{0, 0, 0, 0, 0, 0, 1, 2, 0, 3, 4, 0});
  expect_tensor(run("Cropping3D", R"({"cropping": [[0, 0], [1, 0], [0, 1]]})", volume),
                {1, 1, 1, 1, 1}, Floats{3});
}

}  // namespace
}  // namespace kerf::layers
