#include <gmock/gmock.h>

#include <cmath>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

constexpr const char* kOps = "keras.src.ops.numpy";

// An operation with its arguments as Keras writes them: "$0" stands for the first tensor.
LayerCase operation(const std::string& class_name, const std::string& config,
                    const std::string& args, std::vector<Tensor> inputs,
                    const std::string& kwargs = "{}") {
  return {.class_name = class_name,
          .config = config,
          .inputs = std::move(inputs),
          .arguments = R"({"args": [)" + args + R"(], "kwargs": )" + kwargs + "}",
          .module = kOps};
}

Tensor run(const LayerCase& layer) { return run_layer(layer).outputs.at(0); }

std::string numbers(const std::string& values, const std::string& dtype) {
  return R"({"class_name": "__numpy__", "config": {"value": )" + values + R"(, "dtype": ")" +
         dtype + R"("}})";
}

TEST(OperationTest, TakesNumbersAndArraysInPlaceOfTensors) {
  const Tensor x = floats({1, 3}, {1, -2, 3});
  expect_tensor(run(operation("Subtract", "{}", "2, $0", {x})), {1, 3}, Floats{1, 4, -1});
  expect_tensor(run(operation("TrueDivide", "{}", "$0, 2", {x})), {1, 3}, Floats{0.5F, -1, 1.5F});
  expect_tensor(run(operation("Multiply", "{}", "$0, " + numbers("[1, 10, 100]", "float32"), {x})),
                {1, 3}, Floats{1, -20, 300});
  expect_tensor(run(operation("Minimum", "{}", R"($0, "-Infinity")", {x})), {1, 3},
                Floats(3, -std::numeric_limits<float>::infinity()));
  expect_tensor(run(operation("Add", "{}", "", {x}, R"({"x1": $0, "x2": 1.5})")), {1, 3},
                Floats{2.5F, -0.5F, 4.5F});
}

TEST(OperationTest, PromotesDtypesAsKeras) {
  const Tensor i = ints({1, 3}, {7, -7, 2});
  EXPECT_EQ(run(operation("Add", "{}", "$0, 1", {i})).dtype(), DType::kInt32);
  EXPECT_EQ(run(operation("Add", "{}", "$0, 1.5", {i})).dtype(), DType::kFloat32);
  EXPECT_EQ(run(operation("Greater", "{}", "$0, 1.5", {i})).dtype(), DType::kBool);
  expect_tensor(run(operation("TrueDivide", "{}", "$0, 2", {i})), {1, 3}, Floats{3.5F, -3.5F, 1});
  expect_tensor(run(operation("FloorDivide", "{}", "$0, 2", {i})), {1, 3}, Floats{3, -4, 1});
  expect_tensor(run(operation("Mod", "{}", "$0, 3", {i})), {1, 3}, Floats{1, 2, 2});
  expect_tensor(run(operation("Mean", R"({"axis": -1})", "$0", {i})), {1}, Floats{2.0F / 3});
  const Tensor sum = run(operation("Add", "{}", "$0, $1", {i, floats({1, 3}, {0.5F, 0, 0})}));
  expect_tensor(sum, {1, 3}, Floats{7.5F, -7, 2});
  expect_tensor(run(operation("Sqrt", "{}", "$0", {ints({1, 1}, {4})})), {1, 1}, Floats{2});
  EXPECT_EQ(run(operation("Absolute", "{}", "$0", {i})).dtype(), DType::kInt32);
}

TEST(OperationTest, ChoosesAndCompares) {
  const Tensor x = floats({1, 4}, {-1, 0, 1, 2});
  expect_tensor(run(operation("Where", "{}", "$0, 5, $0", {x})), {1, 4}, Floats{5, 0, 5, 5});
  expect_tensor(run(operation("Clip", R"({"x_min": 0, "x_max": 1})", "$0", {x})), {1, 4},
                Floats{0, 0, 1, 1});
  expect_tensor(run(operation("LogicalXor", "{}", "$0, true", {x})), {1, 4}, Floats{0, 1, 0, 0});
  expect_tensor(run(operation("Isfinite", "{}", "$0", {floats({1, 2}, {1, NAN})})), {1, 2},
                Floats{1, 0});
}

TEST(OperationTest, IndexesAsNumPy) {
  const Tensor x = floats({2, 3, 4}, ramp(24, 0, 1));
  const std::string all = R"({"class_name": "__slice__",
                              "config": {"start": null, "stop": null, "step": null}})";
  const auto slice = [](const std::string& start, const std::string& stop,
                        const std::string& step) {
    return R"({"class_name": "__slice__", "config": {"start": )" + start + R"(, "stop": )" + stop +
           R"(, "step": )" + step + "}}";
  };
  const std::string ellipsis = R"({"class_name": "__ellipsis__", "config": {}})";
  const auto item = [&](const std::string& key) {
    return run(operation("GetItem", "{}", "$0, " + key, {x}));
  };
  expect_tensor(item("[" + all + ", -1]"), {2, 4}, Floats{8, 9, 10, 11, 20, 21, 22, 23});
  expect_tensor(item("[" + ellipsis + ", 0]"), {2, 3}, Floats{0, 4, 8, 12, 16, 20});
  expect_tensor(item("[" + all + ", 1, " + slice("null", "null", "-2") + "]"), {2, 2},
                Floats{7, 5, 19, 17});
  expect_tensor(item("[" + all + ", " + slice("-2", "99", "null") + ", 2, null]"), {2, 2, 1},
                Floats{6, 10, 18, 22});
  expect_tensor(item("[" + all + ", [2, 0], " + slice("0", "1", "1") + "]"), {2, 2, 1},
                Floats{8, 0, 20, 12});
  EXPECT_THAT(refusal_of(operation("GetItem", "{}", "$0, [" + all + ", 3]", {x})).what(),
              HasSubstr("index 3"));
}

TEST(OperationTest, TakesAndMarksPlaces) {
  const Tensor x = floats({2, 3, 2}, ramp(12, 0, 1));
  expect_tensor(run(operation("Take", R"({"axis": 1})", "$0, [2, -3]", {x})), {2, 2, 2},
                Floats{4, 5, 0, 1, 10, 11, 6, 7});
  expect_tensor(run(operation("Take", R"({"axis": -1})", "$0, 1", {x})), {2, 3},
                Floats{1, 3, 5, 7, 9, 11});
  expect_tensor(run(operation("Take", R"({"axis": 0})",
                              numbers("[[1, 2], [3, 4], [5, 6]]", "float32") + ", $0",
                              {ints({1, 2}, {2, 0})})),
                {1, 2, 2}, Floats{5, 6, 1, 2});
  expect_tensor(run(operation("OneHot", R"({"num_classes": 3, "axis": -1, "sparse": false})", "$0",
                              {ints({1, 2}, {2, 5})})),
                {1, 2, 3}, Floats{0, 0, 1, 0, 0, 0});
  expect_tensor(run(operation("OneHot", R"({"num_classes": 2, "axis": 1, "dtype": "int32"})", "$0",
                              {ints({1, 3}, {0, 1, 1})})),
                {1, 2, 3}, Floats{1, 0, 0, 0, 1, 1});
}

TEST(OperationTest, MovesElements) {
  const Tensor x = floats({1, 2, 3}, {1, 2, 3, 4, 5, 6});
  expect_tensor(run(operation("Moveaxis", R"({"source": 2, "destination": 1})", "$0", {x})),
                {1, 3, 2}, Floats{1, 4, 2, 5, 3, 6});
  expect_tensor(run(operation("Repeat", R"({"repeats": [2, 1], "axis": 1})", "$0", {x})), {1, 3, 3},
                Floats{1, 2, 3, 1, 2, 3, 4, 5, 6});
  expect_tensor(run(operation("Roll", R"({"shift": -1, "axis": 2})", "$0", {x})), {1, 2, 3},
                Floats{2, 3, 1, 5, 6, 4});
  expect_tensor(
      run(operation("Pad", R"({"pad_width": [[0, 0], [0, 0], [2, 1]], "mode": "reflect"})", "$0",
                    {x})),
      {1, 2, 6}, Floats{3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5});
  expect_tensor(
      run(operation("Pad", R"({"pad_width": [[0, 0], [0, 0], [2, 1]], "mode": "symmetric"})", "$0",
                    {x})),
      {1, 2, 6}, Floats{2, 1, 1, 2, 3, 3, 5, 4, 4, 5, 6, 6});
  const LayerResult parts =
      run_layer(operation("Split", R"({"indices_or_sections": [1], "axis": -1})", "$0", {x}));
  expect_tensor(parts.outputs.at(0), {1, 2, 1}, Floats{1, 4});
  expect_tensor(parts.outputs.at(1), {1, 2, 2}, Floats{2, 3, 5, 6});
  EXPECT_EQ(run_layer(operation("Unstack", R"({"axis": 1})", "$0", {x})).outputs.size(), 2U);
  EXPECT_THAT(
      refusal_of(operation("Split", R"({"indices_or_sections": 2, "axis": 2})", "$0", {x})).what(),
      HasSubstr("split"));
}

TEST(OperationTest, Reduces) {
  const Tensor x = floats({1, 2, 3}, {1, 5, 3, 4, 2, 6});
  expect_tensor(run(operation("Argmax", R"({"axis": -1, "keepdims": true})", "$0", {x})), {1, 2, 1},
                Floats{1, 2});
  expect_tensor(run(operation("Argmin", R"({"axis": null})", "$0", {x})), {}, Floats{0});
  expect_tensor(run(operation("Cumprod", R"({"axis": 2})", "$0", {x})), {1, 2, 3},
                Floats{1, 5, 15, 4, 8, 48});
  expect_tensor(run(operation("Cumsum", R"({"axis": null})", "$0", {x})), {6},
                Floats{1, 6, 9, 13, 15, 21});
  expect_tensor(run(operation("Max", R"({"axis": 1, "initial": 4.5})", "$0", {x})), {1, 3},
                Floats{4.5F, 5, 6});
  const float low = -std::numeric_limits<float>::infinity();
  expect_tensor(run(operation("Logsumexp", R"({"axis": 1})", "$0",
                              {floats({3, 2}, {1000, 1000, low, low, 0, low})})),
                {3}, Floats{1000 + std::log(2.0F), low, 0});
  expect_tensor(run(operation("Norm", R"({"ord": 1, "axis": -1})", "$0", {x})), {1, 2},
                Floats{9, 12});
  expect_tensor(run(operation("Any", R"({"axis": -1})", "$0", {floats({1, 2, 2}, {0, 3, 0, 0})})),
                {1, 2}, Floats{1, 0});
  const LayerResult moments = run_layer(operation("Moments", R"({"axes": [2]})", "$0", {x}));
  expect_tensor(moments.outputs.at(0), {1, 2}, Floats{3, 4});
  expect_tensor(moments.outputs.at(1), {1, 2}, Floats{8.0F / 3, 8.0F / 3});
}

TEST(OperationTest, NormalisesWithWeights) {
  const Tensor x = floats({1, 2, 2}, {1, 3, 2, 6});
  expect_tensor(run(operation("LayerNorm", R"({"axis": -1, "epsilon": 0})",
                              "$0, " + numbers("[2, 1]", "float32") + ", [0.5, 0]", {x})),
                {1, 2, 2}, Floats{-1.5F, 1, -1.5F, 1});
  expect_tensor(run(operation("RMSNorm", R"({"axis": -1, "epsilon": 0})", "$0, null",
                              {floats({1, 2}, {3, 4})})),
                {1, 2}, Floats{3 / std::sqrt(12.5F), 4 / std::sqrt(12.5F)});
  expect_tensor(run(operation("BatchNorm", R"({"axis": -1, "epsilon": 0})", "$0, [1, 2], [4, 1]",
                              {x}, R"({"scale": [2, 1]})")),
                {1, 2, 2}, Floats{0, 1, 1, 4});
}

TEST(OperationTest, ContractsAxes) {
  const Tensor a = floats({2, 2, 3}, ramp(12, 0, 1));
  const Tensor b = floats({2, 3, 2}, ramp(12, 1, 1));
  const auto einsum = [&](const std::string& subscripts, const std::string& args,
                          std::vector<Tensor> inputs) {
    return run(
        operation("Einsum", R"({"subscripts": ")" + subscripts + R"("})", args, std::move(inputs)));
  };
  const Tensor matmul = run(operation("Matmul", "{}", "$0, $1", {a, b}));
  expect_tensor(einsum("bij,bjk->bik", "$0, $1", {a, b}), {2, 2, 2}, matmul.as<float>());
  expect_tensor(einsum("...ij,...jk", "$0, $1", {a, b}), {2, 2, 2}, matmul.as<float>());
  expect_tensor(einsum("bij->jb", "$0", {a}), {3, 2}, Floats{3, 15, 5, 17, 7, 19});
  expect_tensor(einsum("bij,bij->bij", "$0, $0", {floats({1, 1, 2}, {2, 3})}), {1, 1, 2},
                Floats{4, 9});
  expect_tensor(einsum("bi,bj->bji", "$0, $1", {floats({1, 2}, {2, 3}), floats({1, 2}, {5, 7})}),
                {1, 2, 2}, Floats{10, 15, 14, 21});
  // Several axes on every side: heads and depths of attention.
  const Tensor heads = floats({1, 2, 2, 2}, ramp(8, 1, 1));
  expect_tensor(einsum("bthd,hdo->bto", "$0, [[[1], [2]], [[3], [4]]]", {heads}), {1, 2, 1},
                Floats{1 + 4 + 9 + 16, 5 + 12 + 21 + 32});
  expect_tensor(einsum("bthd,bshd->bhts", "$0, $0", {heads}), {1, 2, 2, 2},
                Floats{5, 17, 17, 61, 25, 53, 53, 113});
  expect_tensor(run(operation("Matmul", "{}", "$0, [1, 10]", {floats({1, 2}, {3, 4})})), {1},
                Floats{43});
  expect_tensor(run(operation("Matmul", "{}", "$0, [[1], [10]]", {floats({1, 1, 2}, {3, 4})})),
                {1, 1, 1}, Floats{43});
  expect_tensor(run(operation("Tensordot", R"({"axes": [[2], [0]]})", "$0, [[1], [0], [2]]", {a})),
                {2, 2, 1}, Floats{4, 13, 22, 31});
  EXPECT_THAT(refusal_of(operation("Einsum", R"({"subscripts": "bii->bi"})", "$0",
                                   {floats({1, 2, 2}, ramp(4, 0, 1))}))
                  .what(),
              HasSubstr("diagonal"));
}

TEST(OperationTest, Broadcasts) {
  expect_tensor(
      run(operation("BroadcastTo", R"({"shape": [2, 3]})", "[[1], [2]]", {floats({1, 1}, {0})})),
      {2, 3}, Floats{1, 1, 1, 2, 2, 2});
}

TEST(OperationTest, FunctionsOfOneElement) {
  const Tensor x = floats({1, 3}, {-0.5F, 0.25F, 0.75F});
  const std::vector<std::pair<std::string, float (*)(float)>> cases{
      {"Sin", std::sin},     {"Cos", std::cos},       {"Tan", std::tan},      {"Arcsin", std::asin},
      {"Arccos", std::acos}, {"Arctan", std::atan},   {"Sinh", std::sinh},    {"Cosh", std::cosh},
      {"Log1p", std::log1p}, {"Expm1", std::expm1},   {"Floor", std::floor},  {"Ceil", std::ceil},
      {"Trunc", std::trunc}, {"Arcsinh", std::asinh}, {"Arctanh", std::atanh}};
  for (const auto& [name, function] : cases) {
    Floats expected;
    for (const float v : x.as<float>()) expected.push_back(function(v));
    SCOPED_TRACE(name);
    expect_tensor(run(operation(name, "{}", "$0", {x})), {1, 3}, expected);
  }
  expect_tensor(run(operation("Round", R"({"decimals": 0})", "$0",
                              {floats({1, 4}, {0.5F, 1.5F, 2.5F, -0.5F})})),
                {1, 4}, Floats{0, 2, 2, 0});
  expect_tensor(
      run(operation("Cast", R"({"dtype": "int32"})", "$0", {floats({1, 2}, {1.9F, -1.9F})})),
      {1, 2}, Floats{1, -1});
  expect_tensor(run(operation("OnesLike", "{}", "$0", {floats({1, 2}, {NAN, 3})})), {1, 2},
                Floats{1, 1});
}

TEST(OperationTest, RefusesWhatItDoesNotKnow) {
  const Tensor x = floats({1, 2}, {1, 2});
  EXPECT_THAT(refusal_of(operation("Unique", "{}", "$0", {x})).what(), HasSubstr("Unique"));
  EXPECT_THAT(refusal_of(operation("Mean", R"({"axis": 1, "where": [1]})", "$0", {x})).what(),
              HasSubstr("does not know this argument"));
  EXPECT_THAT(refusal_of(operation("Mean", R"({"axis": 2})", "$0", {x})).what(),
              HasSubstr("axis 2"));
  EXPECT_THAT(refusal_of(operation("Add", "{}", "$0", {x})).what(), HasSubstr("is missing"));
  EXPECT_THAT(refusal_of(operation("Add", "{}", R"($0, [1, [2]])", {x})).what(),
              HasSubstr("neither a tensor nor"));
}

}  // namespace
}  // namespace kerf::layers
