#include <gtest/gtest.h>

#include <array>
#include <limits>

#include "tests/engine/matrix_fixture.h"

namespace kerf::engine {
namespace {

using program::Function;
using program::Recurrent;

class RecurrentTest : public MatrixTest {};

std::vector<Operand> operands_of(const Recurrent& op, std::int64_t batch, std::int64_t steps,
                                 std::int64_t in, std::int64_t units, Random& random) {
  const bool lstm = op.cell == Recurrent::Cell::kLstm;
  const std::int64_t gates = lstm ? 4 : op.cell == Recurrent::Cell::kSimple ? 1 : 3;
  std::vector<Operand> operands{random.floats({batch, steps, in}),
                                random.floats({in, gates * units}, true),
                                random.floats({units, gates * units}, true)};
  if (op.bias) {
    operands.push_back(random.floats(
        op.cell == Recurrent::Cell::kGruResetAfter ? Shape{2, gates * units} : Shape{gates * units},
        true));
  }
  if (op.mask) operands.push_back(random.mask({batch, steps}));
  for (int i = 0; op.initial_state && i < (lstm ? 2 : 1); ++i) {
    operands.push_back(random.floats({batch, units}));
  }
  return operands;
}

TEST_P(RecurrentTest, AgreesWithTheDefinitionForAllOptions) {
  Random random(31);
  for (const auto cell : {Recurrent::Cell::kSimple, Recurrent::Cell::kLstm, Recurrent::Cell::kGru,
                          Recurrent::Cell::kGruResetAfter}) {
    for (int options = 0; options < 64; ++options) {
      Recurrent op;
      op.cell = cell;
      op.activation = {Function::kTanh};
      op.recurrent_activation = {Function::kSigmoid};
      op.sequences = (options & 1) != 0;
      op.backwards = (options & 2) != 0;
      op.mask = (options & 4) != 0;
      op.zero_output_for_mask = (options & 8) != 0;
      op.bias = (options & 16) != 0;
      op.initial_state = (options & 32) != 0;
      const std::int64_t batch = random.integer(1, options % 5 == 0 ? 40 : 6);
      const std::int64_t steps = random.integer(1, 6);
      const std::vector<Operand> operands =
          operands_of(op, batch, steps, random.integer(1, 9), random.integer(1, 20), random);
      expect_close(
          run_kernel(op, operands), reference(op, operands),
          "cell " + std::to_string(static_cast<int>(cell)) + " options " + std::to_string(options));
    }
  }
}

TEST_P(RecurrentTest, TakesOtherActivations) {
  Random random(32);
  for (const auto cell : {Recurrent::Cell::kSimple, Recurrent::Cell::kLstm, Recurrent::Cell::kGru,
                          Recurrent::Cell::kGruResetAfter}) {
    Recurrent op;
    op.cell = cell;
    op.activation = {Function::kRelu, 0, std::numeric_limits<float>::infinity(), 0};
    op.recurrent_activation = {Function::kHardSigmoid, 0.2F, 0.5F};
    op.bias = true;
    const std::vector<Operand> operands = operands_of(op, 3, 4, 5, 7, random);
    expect_close(run_kernel(op, operands), reference(op, operands), "activations");
  }
}

// So many steps that they are computed in several chunks.
TEST_P(RecurrentTest, TakesLongSequences) {
  Random random(33);
  for (const auto cell : {Recurrent::Cell::kLstm, Recurrent::Cell::kGru}) {
    Recurrent op;
    op.cell = cell;
    op.activation = {Function::kTanh};
    op.recurrent_activation = {Function::kSigmoid};
    op.sequences = true;
    op.backwards = true;
    op.mask = true;
    std::vector<Operand> operands = operands_of(op, 9, 101, 3, 40, random);
    for (float& v : operands[2].floats) v *= 0.2F;  // else rounding errors grow from step to step
    expect_close(run_kernel(op, operands), reference(op, operands), "long");
  }
}

TEST_P(RecurrentTest, GivesTheSameBitsForAnyNumberOfThreads) {
  Random random(34);
  ThreadPool pool(3);
  Recurrent op;
  op.activation = {Function::kTanh};
  op.recurrent_activation = {Function::kSigmoid};
  op.bias = true;
  op.sequences = true;
  for (const std::int64_t batch : {1, 17, 61}) {
    const std::vector<Operand> operands = operands_of(op, batch, 30, 32, 128, random);
    EXPECT_EQ(run_kernel(op, operands), run_kernel(op, operands, &pool));
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, RecurrentTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);

}  // namespace
}  // namespace kerf::engine
