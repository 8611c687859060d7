#pragma once

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "program/passes/passes.h"
#include "program/program.h"

namespace kerf::program {

inline constexpr std::int64_t kUnknown = Shape::kUnknown;

inline const Activation kRelu{Function::kRelu, 0, std::numeric_limits<float>::infinity(), 0};

// Builds small programs for tests; constants are random, the same ones in every run.
class TestProgram {
 public:
  ValueId feed(const Shape& shape, DType dtype = DType::kFloat32) {
    return builder_.feed({dtype, shape});
  }
  ValueId constant(const Shape& shape) {
    std::vector<float> values(static_cast<std::size_t>(shape.element_count()));
    std::uniform_real_distribution<float> distribution(-1, 1);
    for (float& value : values) value = distribution(random_);
    return builder_.constant(Tensor::floats(shape, values));
  }
  // A vector of equal numbers.
  ValueId vector(std::int64_t size, float value) {
    return builder_.constant(
        Tensor::floats({size}, std::vector<float>(static_cast<std::size_t>(size), value)));
  }
  ValueId scalar(float value) {
    return builder_.constant(Tensor::floats(Shape{}, std::span(&value, 1)));
  }
  ValueId add(Op op, std::vector<ValueId> operands) {
    return builder_.append(std::move(op), std::move(operands));
  }
  ValueId relu(ValueId x) { return add(Unary{kRelu}, {x}); }
  // A Dense layer's product, with bias.
  ValueId linear(ValueId x, std::int64_t units) {
    return add(Linear{{.bias = true}}, {x, constant({shape(x).back(), units}), constant({units})});
  }
  // A square 2D convolution with bias.
  ValueId conv(ValueId x, std::int64_t filters, std::int64_t size,
               Padding padding = Padding::kSame) {
    return add(Conv{.window = square(size, padding), .epilogue = {.bias = true}},
               {x, constant({size, size, shape(x).back(), filters}), constant({filters})});
  }
  ValueId affine(ValueId x) {
    return add(Affine{}, {x, constant({shape(x).back()}), constant({shape(x).back()})});
  }
  const Shape& shape(ValueId x) const { return builder_.type(x).shape; }
  std::mt19937& random() { return random_; }
  Program build(const std::vector<ValueId>& fetches) {
    for (const ValueId fetch : fetches) builder_.fetch(fetch);
    return builder_.build();
  }

  static Window square(std::int64_t size, Padding padding = Padding::kSame) {
    return {.rank = 2, .size = {size, size, 1}, .padding = padding};
  }

 private:
  ProgramBuilder builder_;
  std::mt19937 random_{1};
};

using Pass = void (*)(Program&, ConstantCache&);

// The program after `passes` and without dead code.
inline Program after(std::vector<Pass> passes, Program program) {
  static ConstantCache cache;
  passes.push_back(remove_dead_code);
  for (const Pass pass : passes) pass(program, cache);
  return program;
}

// The instructions as describe() writes them, in order.
inline std::vector<std::string> ops_of(const Program& program) {
  std::vector<std::string> ops;
  for (const Instruction& instruction : program.instructions) {
    ops.push_back(describe(instruction.op));
  }
  return ops;
}

// Fails the test unless both programs take and give tensors of the same types and, for random feeds
// with 3 for every unknown dimension, give the same numbers by the naive interpreter: within 1e-5
// of each tensor's largest magnitude, or bit for bit if `exact`.
void expect_same_results(const Program& expected, const Program& actual, bool exact = false);
// Fails the test unless the engine computes what the naive interpreter does.
void expect_engine_agrees(const Program& program);

}  // namespace kerf::program
