#include "program/rows.h"

#include <gtest/gtest.h>

#include <functional>
#include <vector>

namespace kerf::program {
namespace {

constexpr std::int64_t kUnknown = Shape::kUnknown;

// Whether the rows of what `build` makes of an input (n, 4, 6) are independent.
bool independent(const std::function<ValueId(ProgramBuilder&, ValueId)>& build) {
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, Shape{kUnknown, 4, 6}});
  builder.fetch(build(builder, x));
  const std::vector<Shape> feeds{Shape{1, 4, 6}};
  return rows_are_independent(builder.build(), feeds);
}
bool independent(Op op) {
  return independent([&](ProgramBuilder& builder, ValueId x) { return builder.append(op, {x}); });
}

Tensor zeros(const Shape& shape) {
  return Tensor::floats(shape, std::vector<float>(static_cast<std::size_t>(shape.element_count())));
}

TEST(Rows, OpsAlongOtherAxesKeepThem) {
  EXPECT_TRUE(independent(Unary{{.function = Function::kRelu}}));
  EXPECT_TRUE(independent(Reduce{.axes = {1, 2}}));
  EXPECT_TRUE(independent(Softmax{}));
  EXPECT_TRUE(independent(Softmax{.axis = 1}));
  EXPECT_TRUE(independent(LayerNorm{.axes = 2}));
  EXPECT_TRUE(independent(Slice{.axis = 1, .begin = 1}));
  EXPECT_TRUE(independent(Transpose{{0, 2, 1}}));
  EXPECT_TRUE(independent(Cumulate{.axis = 2}));
  EXPECT_TRUE(independent(Tile{.axis = 1, .times = 3}));
  EXPECT_TRUE(independent(Pad{.before = {0, 1, 0}, .after = {0, 0, 2}}));
}

TEST(Rows, OpsAlongTheFirstAxisMixThem) {
  EXPECT_FALSE(independent(Reduce{.axes = {0}}));
  EXPECT_FALSE(independent(Reduce{.axes = {0}, .keep_dims = true}));
  EXPECT_FALSE(independent(Softmax{.axis = 0}));
  EXPECT_FALSE(independent(Softmax{.axis = -3}));
  EXPECT_FALSE(independent(LayerNorm{.axes = 3}));
  EXPECT_FALSE(independent(Slice{.axis = 0, .begin = 1}));
  EXPECT_FALSE(independent(Slice{.axis = 0, .step = -1}));
  EXPECT_FALSE(independent(Transpose{{1, 0, 2}}));
  EXPECT_FALSE(independent(Cumulate{.axis = 0}));
  EXPECT_FALSE(independent(Tile{.axis = 0, .times = 2}));
  EXPECT_FALSE(independent(Pad{.before = {1, 0, 0}, .after = {0, 0, 0}}));
  EXPECT_FALSE(independent(ArgReduce{.axis = 0}));
}

TEST(Rows, AReshapeMayMergeThemWithOtherAxesAndPartThemAgain) {
  const auto merged = [](ProgramBuilder& builder, ValueId x) {
    return builder.append(Reshape{{Reshape::kInfer, 6}}, {x});
  };
  EXPECT_TRUE(independent([&](ProgramBuilder& builder, ValueId x) {
    const ValueId rows =
        builder.append(Linear{}, {merged(builder, x), builder.constant(zeros({6, 5}))});
    return builder.append(Reshape{{Reshape::kInfer, 4, 5}}, {rows});
  }));
  // Across the steps of one row is across rows, once they are merged.
  EXPECT_FALSE(independent([&](ProgramBuilder& builder, ValueId x) {
    return builder.append(Softmax{.axis = 0}, {merged(builder, x)});
  }));
  EXPECT_TRUE(independent(Reshape{{Reshape::copy(0), 24}}));
  EXPECT_TRUE(independent(Reshape{{Reshape::kInfer}}));
  EXPECT_FALSE(independent(Reshape{{1, Reshape::kInfer}}));
  EXPECT_FALSE(independent(Reshape{{4, Reshape::kInfer}}));
}

TEST(Rows, ProductsKeepThemOnTheLeft) {
  EXPECT_TRUE(independent([](ProgramBuilder& builder, ValueId x) {
    return builder.append(MatMul{.transpose_b = true}, {x, x});
  }));
  const auto flat = [](ProgramBuilder& builder, ValueId x) {
    return builder.append(Reshape{{Reshape::kInfer, 24}}, {x});
  };
  EXPECT_TRUE(independent([&](ProgramBuilder& builder, ValueId x) {
    return builder.append(MatMul{}, {flat(builder, x), builder.constant(zeros({24, 3}))});
  }));
  EXPECT_FALSE(independent([&](ProgramBuilder& builder, ValueId x) {
    const ValueId rows = flat(builder, x);
    return builder.append(MatMul{.transpose_b = true}, {rows, rows});  // each with each
  }));
  EXPECT_FALSE(independent([&](ProgramBuilder& builder, ValueId x) {
    const ValueId rows = flat(builder, x);
    return builder.append(MatMul{.transpose_a = true}, {rows, rows});
  }));
}

TEST(Rows, BroadcastingKeepsThemOnTheFirstAxis) {
  EXPECT_TRUE(independent([](ProgramBuilder& builder, ValueId x) {
    return builder.append(Binary{}, {x, builder.constant(zeros({4, 6}))});
  }));
  EXPECT_TRUE(independent([](ProgramBuilder& builder, ValueId x) {
    const ValueId mean = builder.append(Reduce{.axes = {1, 2}, .keep_dims = true}, {x});
    return builder.append(Binary{}, {x, mean});
  }));
  EXPECT_FALSE(independent([](ProgramBuilder& builder, ValueId x) {
    const ValueId one = builder.append(Reduce{.axes = {1, 2}}, {x});             // (n)
    const ValueId other = builder.append(Reshape{{Reshape::kInfer, 1}}, {one});  // (n, 1)
    return builder.append(Binary{}, {one, other});                               // (n, n)
  }));
  // A constant with rows of its own fits one size of batch only.
  EXPECT_FALSE(independent([](ProgramBuilder& builder, ValueId x) {
    return builder.append(Binary{}, {x, builder.constant(zeros({2, 4, 6}))});
  }));
}

TEST(Rows, EveryFetchNeedsThem) {
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, Shape{kUnknown, 3}});
  builder.fetch(builder.append(Unary{}, {x}));
  builder.fetch(builder.constant(zeros({1, 3})));
  const std::vector<Shape> feeds{Shape{1, 3}};
  EXPECT_FALSE(rows_are_independent(builder.build(), feeds));
}

TEST(Rows, AFeedWithoutAxesHasNone) {
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, Shape{}});
  builder.fetch(builder.append(Unary{}, {x}));
  const std::vector<Shape> feeds{Shape{}};
  EXPECT_FALSE(rows_are_independent(builder.build(), feeds));
}

}  // namespace
}  // namespace kerf::program
