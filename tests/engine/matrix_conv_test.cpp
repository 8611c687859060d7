#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "tests/engine/matrix_fixture.h"

namespace kerf::engine {
namespace {

using program::Activation;
using program::Function;
using program::Padding;

class ConvTest : public MatrixTest {};

constexpr std::array kPaddings{Padding::kValid, Padding::kSame, Padding::kCausal,
                               Padding::kExplicit};
const std::vector<Activation> kActivations{
    {}, {Function::kRelu, 0, std::numeric_limits<float>::infinity(), 0}, {Function::kSilu}};

// A random window that fits somewhere into `spatial` cells.
program::Window random_window(std::size_t rank, const Shape& x, Random& random) {
  program::Window window{.rank = rank};
  window.padding = kPaddings[static_cast<std::size_t>(random.integer(0, 3))];
  if (rank != 1 && window.padding == Padding::kCausal) window.padding = Padding::kSame;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    window.size[axis] = random.integer(1, rank == 3 ? 3 : 5);
    // Keras dilates or strides, not both.
    (random.integer(0, 1) == 0 ? window.strides : window.dilation)[axis] = random.integer(1, 3);
    if (window.padding == Padding::kExplicit) {
      window.before[axis] = random.integer(0, 4);
      window.after[axis] = random.integer(0, 4);
    }
    if (program::window_axis(window, axis, x[axis + 1]).output < 1) {
      window.size[axis] = 1;
      window.dilation[axis] = 1;
    }
  }
  return window;
}

std::string describe(const program::Window& window, const Shape& x, const Shape& w) {
  std::string text = x.to_string() + " by " + w.to_string() + ", padding " +
                     std::to_string(static_cast<int>(window.padding));
  for (std::size_t axis = 0; axis < window.rank; ++axis) {
    text += ", stride " + std::to_string(window.strides[axis]) + " dilation " +
            std::to_string(window.dilation[axis]);
  }
  return text;
}

Shape random_input(std::size_t rank, std::int64_t channels, Random& random) {
  Shape x{random.integer(1, 3)};
  for (std::size_t axis = 0; axis < rank; ++axis) {
    x.push_back(random.integer(1, rank == 1 ? 40 : rank == 2 ? 13 : 6));
  }
  x.push_back(channels);
  return x;
}

template <class Op>
std::vector<Operand> operands_of(const Op& op, const Shape& x, const Shape& w, Random& random) {
  std::vector<Operand> operands{random.floats(x), random.floats(w, true)};
  Op plain = op;
  plain.epilogue = {};
  const Shape y = program::infer(plain, {operands[0].type, operands[1].type})[0].shape;
  add_epilogue(op.epilogue, y, random, operands);
  return operands;
}

TEST_P(ConvTest, AgreesWithTheDefinitionForRandomWindows) {
  Random random(7);
  for (int round = 0; round < 240; ++round) {
    const std::size_t rank = 1 + static_cast<std::size_t>(round) % 3;
    program::Conv op;
    op.groups = round % 4 == 3 ? random.integer(2, 4) : 1;
    const std::int64_t depth = random.integer(1, 20);
    const std::int64_t out = op.groups * random.integer(1, op.groups == 1 ? 70 : 20);
    const Shape x = random_input(rank, depth * op.groups, random);
    op.window = random_window(rank, x, random);
    Shape w;
    for (std::size_t axis = 0; axis < rank; ++axis) w.push_back(op.window.size[axis]);
    w.push_back(depth);
    w.push_back(out);
    op.epilogue.bias = round % 2 == 1;
    op.epilogue.residual = round % 5 == 1;
    op.epilogue.scale = round % 7 < 3;
    op.epilogue.activation = kActivations[static_cast<std::size_t>(round) % kActivations.size()];
    const std::vector<Operand> operands = operands_of(op, x, w, random);
    expect_close(run_kernel(op, operands), reference(op, operands), describe(op.window, x, w));
  }
}

TEST_P(ConvTest, DepthwiseAgreesWithTheDefinitionForRandomWindows) {
  Random random(8);
  for (int round = 0; round < 240; ++round) {
    const std::size_t rank = 1 + static_cast<std::size_t>(round) % 2;
    program::DepthwiseConv op;
    const std::int64_t multiplier = round % 3 == 2 ? random.integer(2, 5) : 1;
    const std::int64_t channels = random.integer(1, round % 7 == 0 ? 140 : 40);
    const Shape x = random_input(rank, channels, random);
    op.window = random_window(rank, x, random);
    Shape w;
    for (std::size_t axis = 0; axis < rank; ++axis) w.push_back(op.window.size[axis]);
    w.push_back(channels);
    w.push_back(multiplier);
    op.epilogue.bias = round % 2 == 1;
    op.epilogue.residual = round % 5 == 1;
    op.epilogue.activation = kActivations[static_cast<std::size_t>(round) % kActivations.size()];
    const std::vector<Operand> operands = operands_of(op, x, w, random);
    expect_close(run_kernel(op, operands), reference(op, operands), describe(op.window, x, w));
  }
}

TEST_P(ConvTest, TransposedAgreesWithTheDefinition) {
  Random random(13);
  ThreadPool pool(3);
  for (int round = 0; round < 160; ++round) {
    const std::size_t rank = 1 + static_cast<std::size_t>(round) % 3;
    const std::int64_t depth = random.integer(1, 20);
    const Shape x = random_input(rank, depth, random);
    program::ConvTranspose op;
    op.window.rank = rank;
    Shape w;
    for (std::size_t axis = 0; axis < rank; ++axis) {
      op.window.size[axis] = random.integer(1, 4);
      op.window.strides[axis] = random.integer(1, 3);
      op.window.dilation[axis] = random.integer(0, 3) == 0 ? 2 : 1;
      op.extent[axis] = random.integer(1, 6);
      op.crop[axis] = random.integer(0, 2);
      w.push_back(op.window.size[axis]);
    }
    w.push_back(depth);
    w.push_back(random.integer(1, 40));
    op.epilogue.bias = round % 2 == 1;
    op.epilogue.residual = round % 5 == 1;
    op.epilogue.activation = kActivations[static_cast<std::size_t>(round) % kActivations.size()];
    const std::vector<Operand> operands = operands_of(op, x, w, random);
    const Results alone = run_kernel(op, operands);
    expect_close(alone, reference(op, operands), describe(op.window, x, w));
    EXPECT_EQ(alone, run_kernel(op, operands, &pool));
  }
}

TEST_P(ConvTest, AGroupForEachChannelIsDepthwise) {
  Random random(9);
  program::Conv op;
  op.groups = 6;
  op.window.size = {3, 3, 1};
  op.window.padding = Padding::kSame;
  const std::vector<Operand> operands = operands_of(op, {2, 9, 8, 6}, {3, 3, 1, 12}, random);
  expect_close(run_kernel(op, operands), reference(op, operands), "one channel a group");
}

TEST_P(ConvTest, TakesWindowsLargerThanTheInput) {
  Random random(10);
  for (const std::int64_t size : {9, 33}) {
    program::Conv op;
    op.window.size = {size, size, 1};
    op.window.padding = Padding::kSame;
    const std::vector<Operand> operands = operands_of(op, {1, 5, 4, 3}, {size, size, 3, 5}, random);
    expect_close(run_kernel(op, operands), reference(op, operands), "large window");
    program::DepthwiseConv depthwise;
    depthwise.window = op.window;
    const std::vector<Operand> more =
        operands_of(depthwise, {1, 5, 4, 3}, {size, size, 3, 1}, random);
    expect_close(run_kernel(depthwise, more), reference(depthwise, more), "large window");
  }
}

TEST_P(ConvTest, MayOverwriteTheResidual) {
  Random random(11);
  program::Conv op;
  op.window.size = {3, 3, 1};
  op.window.padding = Padding::kSame;
  op.epilogue = {.bias = true, .residual = true, .activation = kActivations[1]};
  const std::vector<Operand> operands = operands_of(op, {2, 9, 8, 24}, {3, 3, 24, 24}, random);
  expect_close(run_kernel(op, operands, nullptr, 3), reference(op, operands), "in place");
}

TEST_P(ConvTest, GivesTheSameBitsForAnyNumberOfThreads) {
  Random random(12);
  ThreadPool pool(3);
  program::Conv op;
  op.window.size = {3, 3, 1};
  op.window.padding = Padding::kSame;
  op.epilogue.activation = kActivations[2];
  for (const std::int64_t groups : {1, 4}) {
    op.groups = groups;
    const std::vector<Operand> operands =
        operands_of(op, {1, 30, 30, 64}, {3, 3, 64 / groups, 96}, random);
    EXPECT_EQ(run_kernel(op, operands), run_kernel(op, operands, &pool));
  }
  program::DepthwiseConv depthwise;
  depthwise.window = op.window;
  const std::vector<Operand> operands =
      operands_of(depthwise, {4, 60, 60, 64}, {3, 3, 64, 1}, random);
  EXPECT_EQ(run_kernel(depthwise, operands), run_kernel(depthwise, operands, &pool));
}

INSTANTIATE_TEST_SUITE_P(Targets, ConvTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);

}  // namespace
}  // namespace kerf::engine
