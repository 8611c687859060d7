#include <gtest/gtest.h>

#include "tests/engine/matrix_fixture.h"

namespace kerf::engine {
namespace {

using program::Attention;
using program::ConvLstm;
using program::Function;

class AttentionTest : public MatrixTest {};

std::vector<Operand> operands_of(const Attention& op, std::int64_t batch, std::int64_t queries,
                                 std::int64_t keys, Random& random) {
  const std::int64_t depth = random.integer(1, 40);
  const std::int64_t width = random.integer(1, 40);
  std::vector<Operand> operands{random.floats({batch, queries, op.heads * depth}),
                                random.floats({batch, keys, op.key_heads * depth}),
                                random.floats({batch, keys, op.key_heads * width})};
  if (op.mask) {
    const auto some = [&](std::int64_t size) { return random.integer(0, 1) == 0 ? 1 : size; };
    operands.push_back(random.mask({some(batch), some(op.heads), some(queries), some(keys)}));
  }
  return operands;
}

TEST_P(AttentionTest, AgreesWithTheDefinitionForAllOptions) {
  Random random(41);
  ThreadPool pool(3);
  for (int options = 0; options < 128; ++options) {
    Attention op{.scale = 0.5F + 0.1F * static_cast<float>(options % 7)};
    op.causal = (options & 1) != 0;
    op.mask = (options & 2) != 0;
    op.weights = (options & 4) != 0;
    op.window = (options & 8) != 0 ? random.integer(1, 20) : 0;
    op.blind_is_zero = (options & 16) != 0;
    op.key_heads = random.integer(1, 3);
    op.heads = op.key_heads * ((options & 32) != 0 ? 2 : 1);
    const std::int64_t queries = random.integer(1, 50);
    const std::int64_t keys = (options & 64) != 0 ? queries : random.integer(1, 90);
    const std::vector<Operand> operands =
        operands_of(op, random.integer(1, 3), queries, keys, random);
    const Results results = run_kernel(op, operands);
    expect_close(results, reference(op, operands), "options " + std::to_string(options));
    EXPECT_EQ(run_kernel(op, operands, &pool), results) << "options " << options;
  }
}

class ConvLstmTest : public MatrixTest {};

TEST_P(ConvLstmTest, AgreesWithTheDefinitionForAllOptions) {
  Random random(43);
  for (int options = 0; options < 96; ++options) {
    ConvLstm op{.activation = {Function::kTanh}, .recurrent_activation = {Function::kSigmoid}};
    op.sequences = (options & 1) != 0;
    op.backwards = (options & 2) != 0;
    op.mask = (options & 4) != 0;
    op.zero_output_for_mask = (options & 8) != 0;
    op.initial_state = (options & 16) != 0;
    const std::int64_t batch = random.integer(1, 3);
    const std::int64_t steps = random.integer(1, 4);
    const std::int64_t filters = random.integer(1, 9);
    Shape x{batch, steps};
    Shape state{batch};
    Shape kernel;
    for (int axis = 0; axis < 1 + options / 32; ++axis) {
      const std::int64_t size = random.integer(1, 6);
      x.push_back(size);
      state.push_back(size);
      kernel.push_back(random.integer(1, 3));
    }
    x.push_back(4 * filters);
    state.push_back(filters);
    kernel.push_back(filters);
    kernel.push_back(4 * filters);
    std::vector<Operand> operands{random.floats(x), random.floats(kernel, true)};
    if (op.mask) operands.push_back(random.mask({batch, steps}));
    for (int i = 0; op.initial_state && i < 2; ++i) operands.push_back(random.floats(state));
    expect_close(run_kernel(op, operands), reference(op, operands),
                 "options " + std::to_string(options));
  }
}

INSTANTIATE_TEST_SUITE_P(All, AttentionTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);
INSTANTIATE_TEST_SUITE_P(All, ConvLstmTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);

}  // namespace
}  // namespace kerf::engine
