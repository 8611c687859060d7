#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/tile.h"
#include "tests/engine/matrix_fixture.h"

// Kernels whose matrices are rounded, against the definition of an op over numbers that were
// rounded before. On machines that multiply rounded numbers, with these instructions and without.
namespace kerf::engine {
namespace {

using program::Function;

constexpr double kSums = 1e-5;  // what adding up in another order may do
// Rows of bytes are rounded here as they are in the engine but for the last bit before a tie.
constexpr double kTies = 3e-3;

float bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rest = bits & 0xFFFF;
  std::uint32_t kept = bits & 0xFFFF0000;
  if (rest > 0x8000 || (rest == 0x8000 && (kept & 0x10000) != 0)) kept += 0x10000;
  return std::bit_cast<float>(kept);
}

// What a row-major matrix is once its columns are rounded.
std::vector<float> rounded_columns(const std::vector<float>& matrix, std::size_t columns,
                                   Precision precision) {
  std::vector<float> result = matrix;
  for (std::size_t j = 0; j < columns; ++j) {
    float largest = 0;
    for (std::size_t i = j; i < matrix.size(); i += columns) {
      largest = std::max(largest, std::fabs(matrix[i]));
    }
    const float scale = largest / 127;
    for (std::size_t i = j; i < matrix.size(); i += columns) {
      result[i] = precision == Precision::kBfloat16 ? bfloat16(matrix[i])
                  : scale == 0                      ? 0
                                                    : scale * std::nearbyint(matrix[i] / scale);
    }
  }
  return result;
}

// What rows are once they are rounded as dot products need them.
std::vector<float> rounded_rows(const std::vector<float>& rows, std::size_t depth,
                                Precision precision) {
  std::vector<float> result = rows;
  for (std::size_t first = 0; first < rows.size(); first += depth) {
    double least = 0;
    double greatest = 0;
    for (std::size_t k = first; k < first + depth; ++k) {
      least = std::min<double>(least, rows[k]);
      greatest = std::max<double>(greatest, rows[k]);
    }
    const double scale = (greatest - least) / 255;
    const double zero = std::nearbyint(-least / scale);
    for (std::size_t k = first; k < first + depth; ++k) {
      result[k] =
          precision == Precision::kBfloat16
              ? bfloat16(rows[k])
              : static_cast<float>(
                    scale *
                    (std::clamp(std::nearbyint(rows[k] / scale + zero), 0.0, 255.0) - zero));
    }
  }
  return result;
}

void round_matrix(Operand& matrix, Precision precision) {
  matrix.floats =
      rounded_columns(matrix.floats, static_cast<std::size_t>(matrix.type.shape.back()), precision);
}

bool rounds_rows(Precision precision, std::int64_t depth, std::int64_t columns) {
  return tile_set(precision, static_cast<std::size_t>(depth), static_cast<std::size_t>(columns))
             .round_rows != nullptr;
}

class PrecisionTest : public MatrixTest {
 protected:
  void TearDown() override {
    use_dot_tiles(true);
    MatrixTest::TearDown();
  }
  // Calls body(precision) for all that there is on this machine.
  template <class Body>
  static void for_each_way(const Body& body) {
    for (const Precision precision : {Precision::kBfloat16, Precision::kInt8}) {
      for (const bool dot : {false, true}) {
        use_dot_tiles(dot);
        const TileSet* set = dot ? dot_tile_set(precision, 1) : &widening_tile_set(precision);
        if (set == nullptr) continue;
        SCOPED_TRACE(set->method);
        body(precision);
      }
    }
  }
};

TEST_P(PrecisionTest, LinearAgreesWithTheDefinitionForAllSizesAndEpilogues) {
  const std::vector<program::Activation> activations{
      {}, {Function::kRelu, 0, 6, 0}, {Function::kTanh}};
  for_each_way([&](Precision precision) {
    Random random(1);
    int round = 0;
    for (const std::int64_t rows : {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14, 15, 29, 100}) {
      for (const std::int64_t out : {1, 3, 8, 10, 17, 26, 31, 32, 33, 64, 79, 80, 100}) {
        const std::int64_t in = random.integer(1, 70);
        program::Linear op;
        op.epilogue.bias = round % 2 == 1;
        op.epilogue.residual = round % 3 == 1;
        op.epilogue.scale = round % 5 < 2;
        op.epilogue.activation = activations[static_cast<std::size_t>(round++) % 3];
        std::vector<Operand> operands{random.floats({rows, in}), random.floats({in, out}, true)};
        add_epilogue(op.epilogue, {rows, out}, random, operands);
        const Results actual = run_kernel(op, operands, nullptr, {}, precision);
        round_matrix(operands[1], precision);
        const bool rounds = rounds_rows(precision, in, out);
        if (rounds) {
          operands[0].floats =
              rounded_rows(operands[0].floats, static_cast<std::size_t>(in), precision);
        }
        expect_close(actual, reference(op, operands),
                     std::to_string(rows) + "x" + std::to_string(in) + "x" + std::to_string(out),
                     rounds && precision == Precision::kInt8 ? kTies : kSums);
      }
    }
  });
}

TEST_P(PrecisionTest, ConvolutionsAgreeWithTheDefinition) {
  for_each_way([&](Precision precision) {
    Random random(2);
    for (int round = 0; round < 60; ++round) {
      program::Conv op;
      op.window.rank = 2;
      op.window.padding = round % 2 == 0 ? program::Padding::kSame : program::Padding::kValid;
      op.groups = round % 7 == 3 ? 3 : 1;
      const std::int64_t channels = random.integer(1, 9) * op.groups;
      const std::int64_t filters = random.integer(2, 40) * op.groups;
      for (std::size_t axis = 0; axis < 2; ++axis) {
        op.window.size[axis] = random.integer(1, 4);
        op.window.strides[axis] = random.integer(1, 2);
      }
      op.epilogue.bias = round % 3 == 1;
      op.epilogue.scale = round % 4 == 1;
      const Shape x{2, random.integer(4, 12), random.integer(4, 12), channels};
      std::vector<Operand> operands{
          random.floats(x),
          random.floats({op.window.size[0], op.window.size[1], channels / op.groups, filters},
                        true)};
      add_epilogue(op.epilogue, {filters}, random, operands);
      const Results actual = run_kernel(op, operands, nullptr, {}, precision);
      // A group for each channel is depthwise: in floats.
      if (op.groups > 1 && op.groups == channels && !op.epilogue.scale) continue;
      round_matrix(operands[1], precision);
      const bool rounds = rounds_rows(precision, channels, filters / op.groups);
      // Rows of bytes are windows, each with a scale of its own: a part of the largest value.
      if (rounds && precision == Precision::kBfloat16) {
        operands[0].floats = rounded_rows(operands[0].floats, operands[0].floats.size(), precision);
      }
      // By Winograd's algorithm nothing is rounded.
      const bool may_be_exact = op.window.size == std::array<std::int64_t, 3>{3, 3, 1} &&
                                op.window.strides == std::array<std::int64_t, 3>{1, 1, 1};
      expect_close(actual, reference(op, operands),
                   x.to_string() + " round " + std::to_string(round),
                   may_be_exact || (rounds && precision == Precision::kInt8) ? 2e-2 : kSums);
    }
  });
}

TEST_P(PrecisionTest, TransposedConvolutionsAgreeWithTheDefinition) {
  for_each_way([&](Precision precision) {
    Random random(3);
    for (int round = 0; round < 20; ++round) {
      program::ConvTranspose op;
      op.window.rank = 2;
      const std::int64_t in = random.integer(1, 9);
      const std::int64_t out = random.integer(1, 40);
      for (std::size_t axis = 0; axis < 2; ++axis) {
        op.window.size[axis] = random.integer(1, 4);
        op.window.strides[axis] = random.integer(1, 3);
        op.extent[axis] = 5 * op.window.strides[axis];
      }
      std::vector<Operand> operands{
          random.floats({2, 5, 5, in}),
          random.floats({op.window.size[0], op.window.size[1], in, out}, true)};
      const Results actual = run_kernel(op, operands, nullptr, {}, precision);
      // Only some taps meet in one matrix, so that their scales are not those of the whole kernel.
      if (precision == Precision::kBfloat16) {
        round_matrix(operands[1], precision);
        if (rounds_rows(precision, in, out)) {
          operands[0].floats =
              rounded_rows(operands[0].floats, operands[0].floats.size(), precision);
        }
      }
      expect_close(actual, reference(op, operands), "round " + std::to_string(round),
                   precision == Precision::kInt8 ? 3e-2 : kSums);
    }
  });
}

TEST_P(PrecisionTest, RecurrentLayersStayNearTheDefinition) {
  using Cell = program::Recurrent::Cell;
  for_each_way([&](Precision precision) {
    Random random(4);
    for (const Cell cell : {Cell::kSimple, Cell::kLstm, Cell::kGru, Cell::kGruResetAfter}) {
      program::Recurrent op;
      op.cell = cell;
      op.activation = {Function::kTanh};
      op.recurrent_activation = {Function::kSigmoid};
      op.sequences = true;
      op.bias = true;
      const std::int64_t gates = cell == Cell::kLstm ? 4 : cell == Cell::kSimple ? 1 : 3;
      const std::int64_t units = 20;
      std::vector<Operand> operands{random.floats({9, 5, 13}),
                                    random.floats({13, gates * units}, true),
                                    random.floats({units, gates * units}, true)};
      operands.push_back(random.floats(
          cell == Cell::kGruResetAfter ? Shape{2, gates * units} : Shape{gates * units}, true));
      const Results actual = run_kernel(op, operands, nullptr, {}, precision);
      round_matrix(operands[1], precision);
      round_matrix(operands[2], precision);
      const bool rounds = rounds_rows(precision, units, gates * units);
      expect_close(actual, reference(op, operands), std::to_string(static_cast<int>(cell)),
                   !rounds                         ? kSums
                   : precision == Precision::kInt8 ? 5e-2
                                                   : 3e-2);
    }
  });
}

// Deep products overflow the sums of bytes: they are widened.
TEST_P(PrecisionTest, TakesAnyDepth) {
  for_each_way([&](Precision precision) {
    for (const std::int64_t in : {1, 2, 3, 4, 5, 1000, 65535, 65537, 70000}) {
      std::vector<Operand> operands{
          {.type = {DType::kFloat32, {2, in}}, .floats = {}},
          {.type = {DType::kFloat32, {in, 3}}, .floats = {}, .constant = true}};
      operands[0].floats.assign(static_cast<std::size_t>(2 * in), 1.0F);
      operands[1].floats.assign(static_cast<std::size_t>(3 * in), 1.0F);
      expect_close(run_kernel(program::Linear{}, operands, nullptr, {}, precision),
                   reference(program::Linear{}, operands), std::to_string(in));
    }
  });
}

TEST_P(PrecisionTest, RowsDoNotDependOnOthersNorOnThreads) {
  ThreadPool pool(3);
  for_each_way([&](Precision precision) {
    Random random(5);
    std::vector<Operand> operands{random.floats({40, 300}), random.floats({300, 600}, true)};
    for (std::size_t k = 0; k < 300; ++k) operands[0].floats[k] *= 1000;  // of the first row
    const Results all = run_kernel(program::Linear{}, operands, nullptr, {}, precision);
    EXPECT_EQ(all, run_kernel(program::Linear{}, operands, &pool, {}, precision));
    operands[0].type.shape = {14, 300};
    operands[0].floats.erase(operands[0].floats.begin(), operands[0].floats.begin() + 26 * 300);
    const Results last = run_kernel(program::Linear{}, operands, nullptr, {}, precision);
    const std::vector<float> same(all[0].begin() + 26 * 600, all[0].end());
    expect_close(last, {same}, "without the other rows", 1e-6);
  });
}

TEST_P(PrecisionTest, NumbersThatAreNotFiniteStayVisible) {
  const float infinity = std::numeric_limits<float>::infinity();
  for_each_way([&](Precision precision) {
    for (const float bad : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()}) {
      Random random(6);
      std::vector<Operand> operands{random.floats({3, 50}), random.floats({50, 20}, true)};
      operands[0].floats[50 + 7] = bad;
      const auto run = [&](const std::vector<Operand>& given) {
        return run_kernel(program::Linear{}, given, nullptr, {}, precision)[0];
      };
      std::vector<float> y = run(operands);
      for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(std::isfinite(y[i]), i < 20 || i >= 40) << i;

      operands[0] = random.floats({3, 50});
      operands[1].floats[9 * 20 + 4] = bad;
      y = run(operands);
      for (std::size_t i = 0; i < 60; ++i) EXPECT_EQ(std::isfinite(y[i]), i % 20 != 4) << i;
    }
  });
}

TEST_P(PrecisionTest, ZerosGiveZeros) {
  for_each_way([&](Precision precision) {
    for (const std::size_t zeros : {0, 1}) {
      Random random(7);
      std::vector<Operand> operands{random.floats({3, 50}), random.floats({50, 20}, true)};
      std::fill(operands[zeros].floats.begin(), operands[zeros].floats.end(), 0.0F);
      const Results y = run_kernel(program::Linear{}, operands, nullptr, {}, precision);
      EXPECT_EQ(y[0], std::vector<float>(60, 0.0F));
    }
  });
}

// A matrix that is not kept is what it was rounded to: rounding that once more changes nothing.
TEST_P(PrecisionTest, MatricesUnpackToWhatTheyWereRoundedTo) {
  for (const Precision precision : {Precision::kFloat32, Precision::kBfloat16, Precision::kInt8}) {
    Random random(8);
    for (const auto& [taps, depth, columns] :
         {std::array<std::size_t, 3>{1, 1, 1}, {3, 5, 7}, {2, 8, 33}, {9, 3, 64}, {1, 70, 100}}) {
      const MatrixForm form(precision, taps, depth, columns, tile_set().lanes);
      const Shape shape{static_cast<std::int64_t>(taps * depth),
                        static_cast<std::int64_t>(columns)};
      const std::vector<float> matrix = random.floats(shape).floats;
      const std::shared_ptr<float> packed = aligned_floats(form.words());
      form.pack(matrix.data(), columns, packed.get());
      std::vector<float> unpacked(matrix.size());
      form.unpack(packed.get(), columns, unpacked.data());
      const std::vector<float> expected =
          precision == Precision::kFloat32 ? matrix : rounded_columns(matrix, columns, precision);
      for (std::size_t i = 0; i < matrix.size(); ++i) {
        ASSERT_NEAR(unpacked[i], expected[i], 1e-6) << precision_name(precision) << " " << i;
      }
      form.pack(unpacked.data(), columns, packed.get());
      std::vector<float> again(matrix.size());
      form.unpack(packed.get(), columns, again.data());
      for (std::size_t i = 0; i < matrix.size(); ++i) {
        ASSERT_NEAR(again[i], unpacked[i], 1e-6) << precision_name(precision) << " " << i;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, PrecisionTest, testing::ValuesIn(instruction_sets()),
                         instruction_set_name);

}  // namespace
}  // namespace kerf::engine
