#include <gtest/gtest.h>

#include "tests/engine/matrix_fixture.h"

namespace kerf::engine {
namespace {

class MatMulTest : public MatrixTest {};

std::vector<Operand> matrices(const program::MatMul& op, const Shape& leading, std::int64_t m,
                              std::int64_t k, std::int64_t n, Random& random) {
  Shape a = leading;
  a.push_back(op.transpose_a ? k : m);
  a.push_back(op.transpose_a ? m : k);
  Shape b = leading;
  b.push_back(op.transpose_b ? n : k);
  b.push_back(op.transpose_b ? k : n);
  return {random.floats(a), random.floats(b)};
}

TEST_P(MatMulTest, AgreesWithTheDefinition) {
  Random random(21);
  for (int round = 0; round < 160; ++round) {
    program::MatMul op;
    op.transpose_a = round % 2 == 1;
    op.transpose_b = round % 4 >= 2;
    op.scale = round % 3 == 0 ? 0.125F : 1.0F;
    const std::int64_t m = random.integer(1, 40);
    const std::int64_t k = random.integer(1, 40);
    const std::int64_t n = random.integer(1, 80);
    const Shape leading = round % 5 == 0   ? Shape{}
                          : round % 5 == 1 ? Shape{random.integer(1, 20)}
                                           : Shape{random.integer(1, 3), random.integer(1, 3)};
    const std::vector<Operand> operands = matrices(op, leading, m, k, n, random);
    expect_close(run_kernel(op, operands), reference(op, operands),
                 leading.to_string() + " " + std::to_string(m) + "x" + std::to_string(k) + "x" +
                     std::to_string(n));
  }
}

TEST_P(MatMulTest, BroadcastsLeadingDimensions) {
  Random random(23);
  const std::vector<std::pair<Shape, Shape>> cases{
      {{3}, {}}, {{}, {3}}, {{2, 1}, {1, 3}}, {{2, 3}, {3}}, {{1}, {4, 2}}};
  for (const auto& [a, b] : cases) {
    const program::MatMul op{.transpose_b = a.rank() == 2};
    Shape left = a;
    left.push_back(5);
    left.push_back(7);
    Shape right = b;
    right.push_back(op.transpose_b ? 4 : 7);
    right.push_back(op.transpose_b ? 7 : 4);
    const std::vector<Operand> operands{random.floats(left), random.floats(right)};
    expect_close(run_kernel(op, operands), reference(op, operands),
                 left.to_string() + " by " + right.to_string());
  }
}

TEST_P(MatMulTest, GivesTheSameBitsForAnyNumberOfThreads) {
  Random random(22);
  ThreadPool pool(3);
  for (const std::int64_t batch : {1, 3, 40}) {
    const std::int64_t size = batch == 40 ? 64 : 500;
    for (const bool transposed : {false, true}) {
      const program::MatMul op{.transpose_a = transposed, .transpose_b = transposed, .scale = 2};
      const std::vector<Operand> operands = matrices(op, {batch}, size, 70, size, random);
      EXPECT_EQ(run_kernel(op, operands), run_kernel(op, operands, &pool));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, MatMulTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);

}  // namespace
}  // namespace kerf::engine
