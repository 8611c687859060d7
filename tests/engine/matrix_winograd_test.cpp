#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "engine/kernels/winograd.h"
#include "tests/engine/matrix_fixture.h"

namespace kerf::engine {
namespace {

using program::Activation;
using program::Function;
using program::Padding;

class WinogradTest : public MatrixTest {};

const std::vector<Activation> kActivations{
    {}, {Function::kRelu, 0, std::numeric_limits<float>::infinity(), 0}, {Function::kSilu}};

program::Conv conv(Padding padding) {
  program::Conv op;
  op.window.size = {3, 3, 1};
  op.window.padding = padding;
  return op;
}

std::vector<Operand> operands_of(const program::Conv& op, const Shape& x, std::int64_t columns,
                                 Random& random) {
  std::vector<Operand> operands{random.floats(x), random.floats({3, 3, x.back(), columns}, true)};
  program::Conv plain = op;
  plain.epilogue = {};
  const Shape y = program::infer(plain, {operands[0].type, operands[1].type})[0].shape;
  add_epilogue(op.epilogue, y, random, operands);
  return operands;
}

// Whether the layer is computed by Winograd's algorithm.
bool chosen(const program::Conv& op, const std::vector<Operand>& operands) {
  std::vector<program::ValueType> types;
  for (const Operand& operand : operands) types.push_back(operand.type);
  const std::vector<program::ValueType> results = program::infer(op, types);
  std::vector<Constant> constants(operands.size());
  for (std::size_t i = 0; i < operands.size(); ++i) {
    if (operands[i].constant) constants[i] = Tensor::floats(types[i].shape, operands[i].floats);
  }
  program::ConstantCache cache;
  return make_winograd(
             op, {.operands = types, .results = results, .constants = constants, .cache = cache}) !=
         nullptr;
}

// Sizes of all kinds: whole patches and parts, channels and columns that fill vectors and do not.
TEST_P(WinogradTest, AgreesWithTheDefinition) {
  Random random(21);
  int computed = 0;
  for (int round = 0; round < 30; ++round) {
    constexpr std::array kPaddings{Padding::kValid, Padding::kSame, Padding::kExplicit};
    program::Conv op = conv(kPaddings[static_cast<std::size_t>(round) % kPaddings.size()]);
    if (op.window.padding == Padding::kExplicit) {
      for (std::size_t axis = 0; axis < 2; ++axis) {
        op.window.before[axis] = random.integer(0, 7);
        op.window.after[axis] = random.integer(0, 7);
      }
    }
    op.epilogue.bias = round % 2 == 1;
    op.epilogue.residual = round % 5 == 1;
    op.epilogue.scale = round % 4 < 2;
    op.epilogue.activation = kActivations[static_cast<std::size_t>(round) % kActivations.size()];
    const Shape x{random.integer(1, 2), random.integer(5, 15), random.integer(5, 15),
                  random.integer(8, 50)};
    const std::vector<Operand> operands = operands_of(op, x, random.integer(8, 50), random);
    if (!chosen(op, operands)) continue;
    ++computed;
    expect_close(run_kernel(op, operands), reference(op, operands), x.to_string());
  }
  EXPECT_GT(computed, 10);
}

// By 2x2 outputs, and by 4x4.
TEST_P(WinogradTest, AgreesWithTheDefinitionWhereChannelsAreMany) {
  Random random(22);
  for (const std::int64_t side : {6, 8}) {
    const program::Conv op = conv(Padding::kSame);
    const std::vector<Operand> operands = operands_of(op, {1, side, side, 128}, 96, random);
    ASSERT_TRUE(chosen(op, operands));
    expect_close(run_kernel(op, operands), reference(op, operands), std::to_string(side));
  }
}

TEST_P(WinogradTest, IsNotChosenForOtherWindows) {
  Random random(23);
  const Shape x{1, 40, 40, 64};
  program::Conv op = conv(Padding::kSame);
  EXPECT_TRUE(chosen(op, operands_of(op, x, 64, random)));
  op.window.strides = {2, 2, 1};
  EXPECT_FALSE(chosen(op, operands_of(op, x, 64, random)));
  op = conv(Padding::kSame);
  op.window.dilation = {2, 2, 1};
  EXPECT_FALSE(chosen(op, operands_of(op, x, 64, random)));
}

TEST_P(WinogradTest, IsChosenForEveryBatchOrNone) {
  Random random(24);
  for (const std::int64_t side : {2, 4, 7, 14, 28}) {
    const program::Conv op = conv(Padding::kSame);
    const bool alone = chosen(op, operands_of(op, {1, side, side, 128}, 128, random));
    EXPECT_EQ(alone, chosen(op, operands_of(op, {9, side, side, 128}, 128, random))) << side;
  }
}

TEST_P(WinogradTest, MayOverwriteTheResidual) {
  Random random(25);
  program::Conv op = conv(Padding::kSame);
  op.epilogue = {.bias = true, .residual = true, .activation = kActivations[2]};
  const std::vector<Operand> operands = operands_of(op, {1, 22, 19, 32}, 48, random);
  ASSERT_TRUE(chosen(op, operands));
  expect_close(run_kernel(op, operands, nullptr, 3), reference(op, operands), "in place");
}

// One image whose few patches are spread by columns of the weights, and one that is spread by
// patches.
TEST_P(WinogradTest, GivesTheSameBitsForAnyNumberOfThreads) {
  Random random(26);
  ThreadPool pool(3);
  const program::Conv op = conv(Padding::kSame);
  for (const Shape& x : {Shape{1, 16, 16, 128}, Shape{2, 200, 200, 16}}) {
    const std::vector<Operand> operands = operands_of(op, x, x.back(), random);
    ASSERT_TRUE(chosen(op, operands));
    EXPECT_EQ(run_kernel(op, operands), run_kernel(op, operands, &pool));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, WinogradTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);

}  // namespace
}  // namespace kerf::engine
