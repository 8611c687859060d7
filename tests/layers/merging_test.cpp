#include <gmock/gmock.h>

#include <cmath>
#include <random>

#include "tests/layers/run_layer.h"
#include "tests/support/make_model.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;
using testing_support::random_tensor;

constexpr float kOut = -99;  // marks masked steps

TEST(MergeTest, CombinesElementByElement) {
  const Tensor a = floats({1, 3}, {1, -2, 3});
  const Tensor b = floats({1, 3}, {4, 5, -6});
  const Tensor c = floats({1, 3}, {-7, 8, 9});
  const auto run = [&](const std::string& name, const std::vector<Tensor>& inputs) {
    return run_layer({.class_name = name, .inputs = inputs}).outputs[0];
  };
  expect_tensor(run("Add", {a, b, c}), {1, 3}, Floats{-2, 11, 6});
  expect_tensor(run("Subtract", {a, b}), {1, 3}, Floats{-3, -7, 9});
  expect_tensor(run("Multiply", {a, b, c}), {1, 3}, Floats{-28, -80, -162});
  expect_tensor(run("Average", {a, b, c}), {1, 3}, Floats{-2.0F / 3, 11.0F / 3, 2});
  expect_tensor(run("Maximum", {a, b, c}), {1, 3}, Floats{4, 8, 9});
  expect_tensor(run("Minimum", {a, b, c}), {1, 3}, Floats{-7, -2, -6});
  EXPECT_THAT(refusal_of({.class_name = "Subtract", .inputs = {a, b, c}}).what(),
              HasSubstr("exactly two"));
  EXPECT_THAT(refusal_of({.class_name = "Add", .inputs = {a}}).what(), HasSubstr("at least 2"));
}

TEST(MergeTest, Broadcasts) {
  const Tensor a = floats({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  expect_tensor(
      run_layer({.class_name = "Add", .inputs = {a, floats({1, 1, 3}, {10, 20, 30})}}).outputs[0],
      {1, 2, 3}, Floats{11, 22, 33, 14, 25, 36});
  // An input with fewer axes gets them behind the batch: (n, c) is (n, 1, c).
  expect_tensor(
      run_layer({.class_name = "Multiply", .inputs = {floats({1, 3}, {2, 3, 4}), a}}).outputs[0],
      {1, 2, 3}, Floats{2, 6, 12, 8, 15, 24});
  EXPECT_THAT(
      refusal_of({.class_name = "Add", .inputs = {a, floats({1, 2, 2}, {1, 2, 3, 4})}}).what(),
      HasSubstr("do not fit together"));
}

TEST(MergeTest, IntegersStayExactBesideEachOtherAndBecomeFloatsBesideFloats) {
  expect_tensor(run_layer({.class_name = "Add",
                           .inputs = {ints({1, 2}, {1, 2}), floats({1, 2}, {0.5F, 0.25F})}})
                    .outputs[0],
                {1, 2}, Floats{1.5F, 2.25F});
  expect_tensor(
      run_layer({.class_name = "Average", .inputs = {ints({1, 1}, {1}), ints({1, 1}, {2})}})
          .outputs[0],
      {1, 1}, Floats{1.5F});
  expect_tensor(run_layer({.class_name = "Concatenate",
                           .inputs = {ints({1, 1}, {7}), floats({1, 1}, {0.5F})}})
                    .outputs[0],
                {1, 2}, Floats{7, 0.5F});
}

class MergedMaskTest : public testing::Test {
 protected:
  // Steps 0 and 1 count in a, 0 and 2 in b; step 3 in neither.
  Tensor a_ = floats({1, 4, 1}, {2, 3, kOut, kOut});
  Tensor b_ = floats({1, 4, 1}, {5, kOut, 7, kOut});

  LayerCase layer(const std::string& name, formats::KerasVersion version,
                  std::vector<bool> masked = {}) {
    return {.class_name = name,
            .inputs = {a_, b_},
            .version = version,
            .masked_value = kOut,
            .masked = std::move(masked)};
  }
};

TEST_F(MergedMaskTest, IsTheUnionSinceKeras34) {
  const LayerResult both = run_layer(layer("Add", {3, 4}));
  expect_tensor(both.outputs[0], {1, 4, 1}, Floats{7, 3, 7, 0});
  expect_mask(both.masks[0], {1, 4}, {true, true, true, false});
  EXPECT_FALSE(run_layer(layer("Add", {3, 4}, {true, false})).masks[0].has_value());
}

TEST_F(MergedMaskTest, IsTheIntersectionBefore) {
  expect_mask(run_layer(layer("Add", {2, 15})).masks[0], {1, 4}, {true, false, false, false});
  expect_mask(run_layer(layer("Add", {2, 15}, {true, false})).masks[0], {1, 4},
              {true, true, false, false});
}

TEST_F(MergedMaskTest, MaskedElementsAreNeutralSinceKeras34) {
  expect_tensor(run_layer(layer("Multiply", {3, 4})).outputs[0], {1, 4, 1}, Floats{10, 3, 7, 0});
  expect_tensor(run_layer(layer("Maximum", {3, 4})).outputs[0], {1, 4, 1}, Floats{5, 3, 7, 0});
  expect_tensor(run_layer(layer("Minimum", {3, 4})).outputs[0], {1, 4, 1}, Floats{2, 3, 7, 0});
  // With one mask only, the other input counts alone.
  expect_tensor(run_layer(layer("Multiply", {3, 4}, {true, false})).outputs[0], {1, 4, 1},
                Floats{10, 3 * kOut, 7, kOut});
  expect_tensor(run_layer(layer("Maximum", {3, 4}, {true, false})).outputs[0], {1, 4, 1},
                Floats{5, 3, 7, kOut});
  // Before, they are the zeros they were made.
  expect_tensor(run_layer(layer("Multiply", {2, 15})).outputs[0], {1, 4, 1}, Floats{10, 0, 0, 0});
}

TEST_F(MergedMaskTest, ConcatenationAlongChannelsCombinesAndAlongStepsKeeps) {
  LayerCase channels = layer("Concatenate", {3, 16});
  expect_mask(run_layer(channels).masks[0], {1, 4}, {true, true, true, false});
  channels.version = {2, 15};
  expect_mask(run_layer(channels).masks[0], {1, 4}, {true, false, false, false});
  LayerCase steps = layer("Concatenate", {3, 16});
  steps.config = R"({"axis": 1})";
  const LayerResult joined = run_layer(steps);
  expect_tensor(joined.outputs[0], {1, 8, 1}, Floats{2, 3, 0, 0, 5, 0, 7, 0});
  expect_mask(joined.masks[0], {1, 8}, {true, true, false, false, true, false, true, false});
}

TEST_F(MergedMaskTest, AnInputWithoutAMaskCountsWholeInAConcatenation) {
  LayerCase steps = layer("Concatenate", {3, 16}, {false, true});
  steps.config = R"({"axis": 1})";
  expect_mask(run_layer(steps).masks[0], {1, 8},
              {true, true, true, true, true, false, true, false});
  LayerCase channels = layer("Concatenate", {3, 16}, {false, true});
  expect_mask(run_layer(channels).masks[0], {1, 4}, {true, true, true, true});
  channels.version = {2, 15};
  expect_mask(run_layer(channels).masks[0], {1, 4}, {true, false, true, false});
}

struct DotCase {
  Shape a;
  Shape b;
  std::string axes;
  int a_axis;
  int b_axis;
  bool normalize;
};

class DotTest : public testing::TestWithParam<DotCase> {};

float element(const Tensor& x, int axis, std::int64_t n, std::int64_t rest, std::int64_t k) {
  if (x.shape().rank() == 2) return x.as<float>()[static_cast<std::size_t>(n * x.shape()[1] + k)];
  const std::int64_t row = axis == 1 ? k : rest;
  const std::int64_t column = axis == 1 ? rest : k;
  return x.as<float>()[static_cast<std::size_t>((n * x.shape()[1] + row) * x.shape()[2] + column)];
}

TEST_P(DotTest, ContractsOneAxisOfEach) {
  const DotCase& p = GetParam();
  std::mt19937 random(9);
  const Tensor a = random_tensor(p.a, random);
  const Tensor b = random_tensor(p.b, random);
  const auto rest = [](const Shape& shape, int axis) {
    return shape.rank() == 2 ? std::int64_t{1} : shape[axis == 1 ? 2 : 1];
  };
  const std::int64_t size = p.a[static_cast<std::size_t>(p.a_axis)];
  Floats expected;
  for (std::int64_t n = 0; n < p.a[0]; ++n) {
    for (std::int64_t i = 0; i < rest(p.a, p.a_axis); ++i) {
      for (std::int64_t j = 0; j < rest(p.b, p.b_axis); ++j) {
        double sum = 0;
        double aa = 0;
        double bb = 0;
        for (std::int64_t k = 0; k < size; ++k) {
          const double x = element(a, p.a_axis, n, i, k);
          const double y = element(b, p.b_axis, n, j, k);
          sum += x * y;
          aa += x * x;
          bb += y * y;
        }
        expected.push_back(static_cast<float>(p.normalize ? sum / std::sqrt(aa * bb) : sum));
      }
    }
  }
  Shape shape{p.a[0]};
  if (p.a.rank() == 3) shape.push_back(rest(p.a, p.a_axis));
  if (p.b.rank() == 3) shape.push_back(rest(p.b, p.b_axis));
  if (shape.rank() == 1) shape.push_back(1);
  const LayerCase layer{
      .class_name = "Dot",
      .config = R"({"axes": )" + p.axes + R"(, "normalize": )" + (p.normalize ? "true}" : "false}"),
      .inputs = {a, b}};
  expect_tensor(run_layer(layer).outputs[0], shape, expected);
}

INSTANTIATE_TEST_SUITE_P(All, DotTest,
                         testing::Values(DotCase{{2, 5}, {2, 5}, "1", 1, 1, false},
                                         DotCase{{2, 5}, {2, 5}, "-1", 1, 1, true},
                                         DotCase{{2, 4, 5}, {2, 3, 5}, "2", 2, 2, false},
                                         DotCase{{2, 4, 5}, {2, 5, 3}, "[2, 1]", 2, 1, true},
                                         DotCase{{2, 5, 4}, {2, 5, 3}, "1", 1, 1, false},
                                         DotCase{{2, 5, 4}, {2, 3, 5}, "[1, -1]", 1, 2, true},
                                         DotCase{{2, 5}, {2, 3, 5}, "[1, 2]", 1, 2, false},
                                         DotCase{{2, 3, 5}, {2, 5}, "[-1, -1]", 2, 1, false}));

TEST(DotTest, ZeroVectorsStayZero) {
  expect_tensor(run_layer({.class_name = "Dot",
                           .config = R"({"axes": 1, "normalize": true})",
                           .inputs = {floats({1, 2}, {0, 0}), floats({1, 2}, {1, 1})}})
                    .outputs[0],
                {1, 1}, Floats{0});
}

}  // namespace
}  // namespace kerf::layers
