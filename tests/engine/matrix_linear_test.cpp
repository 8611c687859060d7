#include <gtest/gtest.h>

#include <limits>

#include "tests/engine/matrix_fixture.h"

namespace kerf::engine {
namespace {

using program::Activation;
using program::Function;

const std::vector<Activation> kActivations{
    {},
    {Function::kRelu, 0, std::numeric_limits<float>::infinity(), 0},
    {Function::kRelu, 0, 6, 0},
    {Function::kRelu, 0.2F, std::numeric_limits<float>::infinity(), 0},
    {Function::kRelu, 0.1F, 0.5F, 0.25F},
    {Function::kHardTanh},
    {Function::kTanh},
    {Function::kGelu},
    {Function::kSilu}};

class LinearTest : public MatrixTest {};

std::vector<Operand> linear(const program::Linear& op, const Shape& x, std::int64_t out,
                            Random& random) {
  std::vector<Operand> operands{random.floats(x), random.floats({x.back(), out}, true)};
  Shape y = x;
  y[y.rank() - 1] = out;
  add_epilogue(op.epilogue, y, random, operands);
  return operands;
}

TEST_P(LinearTest, AgreesWithTheDefinitionForAllSizesAndEpilogues) {
  Random random(1);
  int round = 0;
  for (const std::int64_t rows : {0, 1, 2, 3, 4, 5, 6, 7, 11, 13, 14, 15, 28, 29, 100}) {
    for (const std::int64_t out : {1, 2, 3, 7, 8, 10, 16, 17, 31, 32, 33, 48, 49, 64, 100}) {
      const std::int64_t in = random.integer(1, 70);
      program::Linear op;
      op.epilogue.bias = round % 2 == 1;
      op.epilogue.residual = round % 3 == 1;
      op.epilogue.scale = round % 5 < 2;
      op.epilogue.activation = kActivations[static_cast<std::size_t>(round) % kActivations.size()];
      ++round;
      const std::vector<Operand> operands = linear(op, {rows, in}, out, random);
      const std::string what = std::to_string(rows) + "x" + std::to_string(in) + "x" +
                               std::to_string(out) + " round " + std::to_string(round);
      expect_close(run_kernel(op, operands), reference(op, operands), what);
    }
  }
}

TEST_P(LinearTest, TakesAnyRankAndDepth) {
  Random random(2);
  for (const std::int64_t in : {0, 1, 2, 3, 4, 5, 1000}) {
    program::Linear op;
    op.epilogue.bias = true;
    const std::vector<Operand> operands = linear(op, {2, 3, 5, in}, 20, random);
    expect_close(run_kernel(op, operands), reference(op, operands), std::to_string(in));
  }
  const std::vector<Operand> vector = linear({}, {9}, 20, random);
  expect_close(run_kernel(program::Linear{}, vector), reference(program::Linear{}, vector),
               "rank 1");
}

TEST_P(LinearTest, MayOverwriteTheResidual) {
  Random random(3);
  program::Linear op;
  op.epilogue.residual = true;
  for (const std::int64_t out : {10, 64}) {
    const std::vector<Operand> operands = linear(op, {30, 40}, out, random);
    expect_close(run_kernel(op, operands, nullptr, 2), reference(op, operands), "in place");
  }
}

TEST_P(LinearTest, GivesTheSameBitsForAnyNumberOfThreads) {
  Random random(4);
  ThreadPool pool(3);
  program::Linear op;
  op.epilogue.bias = true;
  op.epilogue.activation = {Function::kTanh};
  for (const auto& [rows, in, out] :
       {std::array<std::int64_t, 3>{1, 900, 3000}, std::array<std::int64_t, 3>{500, 200, 130},
        std::array<std::int64_t, 3>{40, 300, 600}}) {
    const std::vector<Operand> operands = linear(op, {rows, in}, out, random);
    const Results alone = run_kernel(op, operands);
    EXPECT_EQ(alone, run_kernel(op, operands, &pool));
    expect_close(alone, reference(op, operands), "threads");
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, LinearTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);

}  // namespace
}  // namespace kerf::engine
