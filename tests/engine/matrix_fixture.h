#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "engine/kernel.h"
#include "engine/thread_pool.h"

namespace kerf::engine {

// An operand of an op under test.
struct Operand {
  program::ValueType type;
  std::vector<float> floats;
  std::vector<std::uint8_t> bools;  // for DType::kBool, instead
  bool constant = false;
};

using Results = std::vector<std::vector<float>>;

// What `op` is, by definition: naive loops in double.
Results reference(const program::Op& op, const std::vector<Operand>& operands);

// What its kernel computes, from operands that are aligned as floats are and no better. Fails the
// test where the kernel writes beyond its results. `overwrite` puts the first result where that
// operand was.
Results run_kernel(const program::Op& op, const std::vector<Operand>& operands,
                   ThreadPool* pool = nullptr, std::optional<std::size_t> overwrite = {},
                   Precision precision = Precision::kFloat32);

// Both agree, relative to the largest magnitude and the length of the sums.
void expect_close(const Results& actual, const Results& expected, const std::string& what,
                  double tolerance = 1e-5);

// Deterministic values in [-1, 1].
class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::int64_t integer(std::int64_t low, std::int64_t high);
  Operand floats(const Shape& shape, bool constant = false);
  Operand mask(const Shape& shape);

 private:
  std::mt19937 engine_;
};

// Appends the bias, residual and scale operands that `epilogue` asks for.
void add_epilogue(const program::Epilogue& epilogue, const Shape& result, Random& random,
                  std::vector<Operand>& operands);

// A test for each compiled instruction set that this machine has.
class MatrixTest : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override;
  void TearDown() override;
};
std::vector<std::int64_t> instruction_sets();
std::string instruction_set_name(const testing::TestParamInfo<std::int64_t>& target);

}  // namespace kerf::engine
