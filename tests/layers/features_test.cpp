#include <gmock/gmock.h>

#include <cmath>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

Tensor run(const std::string& name, const std::string& config, const Tensor& x) {
  return run_layer({.class_name = name, .config = config, .inputs = {x}}).outputs[0];
}

TEST(RescalingTest, ScalesIntegersToo) {
  expect_tensor(run("Rescaling", R"({"scale": 0.5, "offset": -1})", ints({1, 2}, {0, 255})), {1, 2},
                Floats{-1, 126.5F});
}

TEST(RescalingTest, TakesANumberForEachChannel) {
  const Tensor x = floats({1, 2, 2}, {1, 2, 3, 4});
  expect_tensor(run("Rescaling", R"({"scale": [1, 10], "offset": [0, -1]})", x), {1, 2, 2},
                Floats{1, 19, 3, 39});
  expect_tensor(run("Rescaling", R"({"scale": {"class_name": "__numpy__",
                    "config": {"value": [[2], [3]], "dtype": "float32"}}})",
                    x),
                {1, 2, 2}, Floats{2, 4, 9, 12});
  for (const char* scale : {R"([1, 2, 3])", R"([[[[1]]]])", R"([1, [2]])", R"("1")", R"({})"}) {
    const Error error = refusal_of({.class_name = "Rescaling",
                                    .config = std::string(R"({"scale": )") + scale + "}",
                                    .inputs = {x}});
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile) << scale;
  }
}

TEST(NormalizationTest, SubtractsTheMeanAndDividesByTheDeviation) {
  const Tensor x = floats({2, 2}, {1, 2, 3, 4});
  LayerCase adapted{.class_name = "Normalization",
                    .config = R"({"axis": -1, "mean": null, "variance": null})",
                    .inputs = {x},
                    .weights = {{"mean", {1, 2}}, {"variance", {4, 0}}, {"count", {2}}}};
  expect_tensor(run_layer(adapted).outputs[0], {2, 2}, Floats{0, 0, 1, 2e7F});
  adapted.config = R"({"axis": [1], "invert": true})";
  adapted.weights["variance"] = {4, 9};
  expect_tensor(run_layer(adapted).outputs[0], {2, 2}, Floats{3, 8, 7, 14});
  expect_tensor(run("Normalization", R"({"axis": null, "mean": 1, "variance": 4})", x), {2, 2},
                Floats{0, 0.5F, 1, 1.5F});
  expect_tensor(run("Normalization", R"({"axis": -1, "mean": [1, 2], "variance": 4})", x), {2, 2},
                Floats{0, 0, 1, 1});
}

TEST(NormalizationTest, PutsStatisticsWhereTheKeptAxesAre) {
  LayerCase layer{.class_name = "Normalization",
                  .config = R"({"axis": [1]})",
                  .inputs = {floats({1, 2, 2}, {1, 2, 3, 4})},
                  .weights = {{"mean", {1, 3}}, {"variance", {1, 4}}, {"count", {0}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0, 1, 0, 0.5F});
  layer.config = R"({"axis": [1], "mean": [1, 3], "variance": [1, 4]})";
  layer.version = {2, 15};
  expect_tensor(run_layer(layer).outputs[0], {1, 2, 2}, Floats{0, 1, 0, 0.5F});
  layer.config = R"({"axis": 0})";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("not an axis to keep"));
  layer.config = R"({"axis": 1, "mean": 1})";
  EXPECT_THAT(refusal_of(layer).what(), HasSubstr("without"));
}

TEST(DiscretizationTest, ABoundaryBelongsToTheBinAboveIt) {
  const Tensor x = floats({1, 5}, {-1, -0.5F, 0, 0.7F, 9});
  const std::string bins = R"("bin_boundaries": [-0.5, 0.0, 0.75])";
  const Tensor bin = run("Discretization", "{" + bins + "}", x);
  EXPECT_EQ(bin.dtype(), DType::kInt32);
  expect_tensor(bin, {1, 5}, Floats{0, 1, 2, 2, 3});
  LayerCase old{.class_name = "Discretization",
                .config = R"({"bins": [0.0]})",
                .inputs = {x},
                .version = {2, 4}};
  EXPECT_EQ(run_layer(old).outputs[0].dtype(), DType::kInt64);
  expect_tensor(run_layer(old).outputs[0], {1, 5}, Floats{0, 0, 1, 1, 1});
  expect_tensor(run("Discretization", "{" + bins + R"(, "output_mode": "count"})", x), {1, 4},
                Floats{1, 1, 2, 1});
  expect_tensor(run("Discretization", "{" + bins + R"(, "output_mode": "multi_hot"})",
                    floats({1, 2}, {0, 9})),
                {1, 4}, Floats{0, 0, 1, 1});
  EXPECT_THAT(refusal_of({.class_name = "Discretization", .inputs = {x}}).what(),
              HasSubstr("not adapted"));
}

TEST(CategoryEncodingTest, KnowsEveryMode) {
  const Tensor ids = ints({2, 3}, {0, 2, 2, -1, 1, 7});
  const auto config = [](const std::string& mode) {
    return R"({"num_tokens": 3, "output_mode": ")" + mode + R"("})";
  };
  expect_tensor(run("CategoryEncoding", config("multi_hot"), ids), {2, 3},
                Floats{1, 0, 1, 0, 1, 0});
  expect_tensor(run("CategoryEncoding", config("count"), ids), {2, 3}, Floats{1, 0, 2, 0, 1, 0});
  expect_tensor(run("CategoryEncoding", config("one_hot"), ints({2, 1}, {2, 0})), {2, 3},
                Floats{0, 0, 1, 1, 0, 0});
  expect_tensor(run("CategoryEncoding", config("one_hot"), ints({1, 2}, {2, 0})), {1, 2, 3},
                Floats{0, 0, 1, 1, 0, 0});
  expect_tensor(run("CategoryEncoding", R"({"max_tokens": 3, "output_mode": "binary"})",
                    floats({1, 2}, {1.9F, 0})),
                {1, 3}, Floats{1, 1, 0});
  EXPECT_THAT(
      refusal_of({.class_name = "CategoryEncoding", .config = config("tf_idf"), .inputs = {ids}})
          .what(),
      HasSubstr("'tf_idf'"));
}

TEST(CategoryEncodingTest, CountsByWeight) {
  const LayerCase layer{.class_name = "CategoryEncoding",
                        .config = R"({"num_tokens": 3, "output_mode": "count"})",
                        .inputs = {ints({1, 3}, {0, 2, 2}), floats({1, 3}, {0.5F, 2, 3})},
                        .arguments = R"({"args": [$0], "kwargs": {"count_weights": $1}})"};
  expect_tensor(run_layer(layer).outputs[0], {1, 3}, Floats{0.5F, 0, 5});
}

}  // namespace
}  // namespace kerf::layers
