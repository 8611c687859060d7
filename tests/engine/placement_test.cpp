#include "engine/placement.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/engine/reference.h"
#include "tests/engine/support.h"

// Copies that are elided, and that results are what they are without.
namespace kerf::engine {
namespace {

using program::Binary;
using program::Concat;
using program::Conv;
using program::Linear;
using program::ProgramBuilder;
using program::Reshape;
using program::Slice;
using program::Unary;
using program::ValueId;

const program::Op kTanh = Unary{{program::Function::kTanh}};
const program::Op kSquare = Unary{{program::Function::kSquare}};
const program::Op kAdd = Binary{Binary::Kind::kAdd};
constexpr std::int64_t kBatch = Shape::kUnknown;

// Runs the program, which takes `steps` steps, and compares.
void expect_steps(const program::Program& program, std::span<const Tensor> feeds,
                  std::size_t steps) {
  SCOPED_TRACE(program.to_string());
  const auto plan = compile(program, shapes_of(feeds));
  const Outcome outcome = run_plan(*plan, feeds);
  const std::vector<Tensor> expected = reference::evaluate(program, feeds);
  ASSERT_EQ(outcome.fetches.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    expect_near(outcome.fetches[i], expected[i], 1e-5);
  }

  std::vector<const void*> in;
  std::vector<void*> out;
  std::vector<std::vector<std::byte>> memory;
  for (const Tensor& feed : feeds) in.push_back(feed.data());
  for (const Tensor& fetch : outcome.fetches) {
    out.push_back(memory.emplace_back(fetch.byte_size() + 1).data());
  }
  Workspace workspace;
  std::vector<ProfileEntry> profile;
  plan->run(in, out, workspace.reserve(plan->workspace_bytes()), nullptr, &profile);
  EXPECT_EQ(profile.size(), steps);
}

TEST(Placement, WhatIsConcatenatedIsComputedInTheResult) {
  Random random;
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {kBatch, 6}});
  const ValueId a = builder.append(kTanh, {x});
  const ValueId b = builder.append(kSquare, {a});  // reads a part of the result
  const ValueId c = builder.append(Concat{1}, {a, b});
  builder.fetch(builder.append(kTanh, {c}));
  const program::Program program = builder.build();
  expect_steps(program, std::vector{random.floats({1, 6})}, 3);
  expect_steps(program, std::vector{random.floats({3, 6})}, 4);  // rows of a are apart
}

TEST(Placement, FetchesFeedsConstantsAndRepetitionsAreCopied) {
  Random random;
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {kBatch, 6}});
  const ValueId a = builder.append(kTanh, {x});
  const ValueId b = builder.append(kSquare, {x});
  const ValueId constant = builder.constant(random.floats({2, 6}));
  const ValueId c = builder.append(Concat{0}, {a, x, b, constant, b});
  const ValueId d = builder.append(Concat{0}, {c, a});
  for (const ValueId id : {a, c, d, x}) builder.fetch(id);
  const program::Program program = builder.build();
  for (const std::int64_t batch : {0, 1, 3}) {
    expect_steps(program, std::vector{random.floats({batch, 6})}, batch == 0 ? 2 : 4);
  }
}

TEST(Placement, ConcatenationsNest) {
  Random random;
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {kBatch, 4, 3}});
  const ValueId a = builder.append(kTanh, {x});
  const ValueId flat = builder.append(Reshape{{Reshape::copy(0), 12}}, {a});
  const ValueId b = builder.append(kSquare, {flat});
  const ValueId inner = builder.append(Concat{1}, {flat, b});
  const ValueId c = builder.append(kTanh, {inner});
  const ValueId outer = builder.append(Concat{1}, {c, inner, b});
  builder.fetch(outer);
  builder.fetch(builder.append(kAdd, {c, inner}));
  const program::Program program = builder.build();
  for (const std::int64_t batch : {1, 2}) {
    const std::vector<Tensor> feeds{random.floats({batch, 4, 3})};
    const Outcome outcome = run_plan(*compile(program, shapes_of(feeds)), feeds);
    const std::vector<Tensor> expected = reference::evaluate(program, feeds);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expect_near(outcome.fetches[i], expected[i], 1e-5);
    }
  }
}

TEST(Placement, SlicesOfOnePieceAreNotCopied) {
  Random random;
  ProgramBuilder builder;
  const ValueId x = builder.feed({DType::kFloat32, {kBatch, 6}});
  const ValueId rows = builder.append(Slice{.axis = 0, .begin = 1}, {x});
  const ValueId a = builder.append(kTanh, {rows});
  const ValueId last = builder.append(Slice{.axis = 0, .begin = -1}, {a});
  const ValueId middle = builder.append(Slice{.axis = 1, .begin = 2, .end = 4}, {last});
  builder.fetch(builder.append(kAdd, {last, a}));
  builder.fetch(last);
  builder.fetch(builder.append(kSquare, {middle}));
  builder.fetch(rows);
  const program::Program program = builder.build();
  for (const std::int64_t batch : {2, 5}) {
    expect_steps(program, std::vector{random.floats({batch, 6})}, 3);
  }
}

TEST(Placement, ProductsWriteTheirRowsApart) {
  Random random;
  for (const std::int64_t side : {3, 12}) {  // the larger one by Winograd's algorithm
    ProgramBuilder builder;
    const ValueId x = builder.feed({DType::kFloat32, {kBatch, side, side, 32}});
    const auto conv = [&](std::int64_t size, std::int64_t filters, program::Activation f) {
      Conv op;
      op.window.size = {size, size, 1};
      op.window.padding = program::Padding::kSame;
      op.epilogue.bias = true;
      op.epilogue.activation = f;
      return builder.append(op, {x, builder.constant(random.floats({size, size, 32, filters})),
                                 builder.constant(random.floats({filters}))});
    };
    const ValueId a = conv(1, 20, {});
    const ValueId b = conv(3, 40, {program::Function::kRelu, 0, 6, 0});
    const ValueId c = builder.append(kTanh, {x});
    const ValueId d = builder.append(Linear{}, {x, builder.constant(random.floats({32, 5}))});
    const ValueId e = conv(1, 7, {program::Function::kTanh});
    builder.fetch(builder.append(Concat{-1}, {a, b, c, d, e}));
    const program::Program program = builder.build();
    const std::vector<Tensor> feeds{random.floats({2, side, side, 32})};
    const auto plan = compile(program, shapes_of(feeds));
    const Tensor got = run_plan(*plan, feeds).fetches[0];
    const Tensor expected = reference::evaluate(program, feeds)[0];
    expect_near(got, expected, 1e-3);

    std::vector<program::ValueType> types;
    for (const program::Value& value : program.values) types.push_back(value.type);
    for (program::ValueType& type : types) {
      for (std::size_t i = 0; i < type.shape.rank(); ++i) {
        if (type.shape[i] == Shape::kUnknown) type.shape[i] = 2;
      }
    }
    const Placements placements = place_values(program, types);
    for (const ValueId id : {a, b, d, e}) EXPECT_EQ(placements.values[id].stride, 104U);
    EXPECT_EQ(placements.values[c].root, c);
    EXPECT_EQ(placements.values[b].offset, 80U);
  }
}

// Trees of concatenations, slices and reshapes of everything there is.
TEST(Placement, RandomProgramsAreComputedAsWithout) {
  Random random(5);
  for (int round = 0; round < 300; ++round) {
    ProgramBuilder builder;
    std::vector<ValueId> values{builder.feed({DType::kFloat32, {kBatch, 4}}),
                                builder.constant(random.floats({2, 4}))};
    const auto any = [&] {
      return values[static_cast<std::size_t>(random.integer(0, std::ssize(values) - 1))];
    };
    for (int i = 0; i < 12; ++i) {
      const ValueId x = any();
      switch (random.integer(0, 4)) {
        case 0:
          values.push_back(builder.append(kTanh, {x}));
          break;
        case 1:
          values.push_back(builder.append(Concat{0}, {x, any()}));
          break;
        case 2:
          values.push_back(builder.append(Concat{0}, {any(), x, any()}));
          break;
        case 3:
          values.push_back(builder.append(Slice{.axis = 0, .begin = random.integer(-2, 2)}, {x}));
          break;
        default:
          values.push_back(builder.append(Reshape{{Reshape::kInfer, 4}},
                                          {builder.append(Reshape{{Reshape::kInfer, 2, 2}}, {x})}));
          break;
      }
    }
    for (int i = 0; i < 3; ++i) builder.fetch(any());
    builder.fetch(values.back());
    const program::Program program = builder.build();
    SCOPED_TRACE(program.to_string());
    const std::vector<Tensor> feeds{random.floats({random.integer(1, 3), 4})};
    const Outcome outcome = run_plan(*compile(program, shapes_of(feeds)), feeds);
    const std::vector<Tensor> expected = reference::evaluate(program, feeds);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      expect_near(outcome.fetches[i], expected[i], 1e-5);
    }
    if (HasFailure()) break;
  }
}

}  // namespace
}  // namespace kerf::engine
