#include <cmath>
#include <vector>

#include "layers/operation.h"

// Losses that stand in a graph, element by element or over an axis of classes.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reduce;

constexpr double kEpsilon = 1e-7;

// A share, so far from 0 and 1 that it has a logarithm.
ValueId clipped(Operation& op, ValueId x) {
  const ValueId low = op.number(kEpsilon, DType::kFloat32);
  const ValueId high = op.number(1 - kEpsilon, DType::kFloat32);
  return op.binary(Binary::Kind::kMinimum, op.binary(Binary::Kind::kMaximum, x, low), high);
}

void lower_binary(Operation& op) {
  const ValueId target = op.to_float(op.tensor("target"));
  ValueId x = op.to_float(op.tensor("output"));
  const ValueId one = op.number(1, DType::kFloat32);
  if (op.arguments().boolean("from_logits", false)) {
    // max(x, 0) - x * target + log(1 + exp(-|x|)).
    const ValueId tail = op.unary(
        {Function::kLog1p},
        op.unary({Function::kExp}, op.unary({Function::kNegative}, op.unary({Function::kAbs}, x))));
    const ValueId linear =
        op.binary(Binary::Kind::kSubtract,
                  op.binary(Binary::Kind::kMaximum, x, op.number(0, DType::kFloat32)),
                  op.binary(Binary::Kind::kMultiply, x, target));
    op.output(op.binary(Binary::Kind::kAdd, linear, tail));
    return;
  }
  x = clipped(op, x);
  const ValueId hit = op.binary(Binary::Kind::kMultiply, target, op.unary({Function::kLog}, x));
  const ValueId miss =
      op.binary(Binary::Kind::kMultiply, op.binary(Binary::Kind::kSubtract, one, target),
                op.unary({Function::kLog}, op.binary(Binary::Kind::kSubtract, one, x)));
  op.output(op.unary({Function::kNegative}, op.binary(Binary::Kind::kAdd, hit, miss)));
}

// The logarithms of the shares of classes.
ValueId log_shares(Operation& op, ValueId x, std::size_t axis) {
  const auto number = static_cast<std::int64_t>(axis);
  if (op.arguments().boolean("from_logits", false)) {
    return op.ops().append(program::Softmax{.axis = number, .log = true}, {x});
  }
  const ValueId sum = op.reduce(Reduce::Kind::kSum, {number}, true, x);
  return op.unary({Function::kLog}, clipped(op, op.binary(Binary::Kind::kDivide, x, sum)));
}

void lower_categorical(Operation& op) {
  const ValueId x = op.to_float(op.tensor("output"));
  if (op.rank(x) == 0) op.invalid("output", "is a number");
  const std::size_t axis = op.axis("axis", -1, op.rank(x));
  ValueId target = op.tensor("target");
  const ValueId logs = log_shares(op, x, axis);
  if (op.class_name().starts_with("Sparse")) {
    const std::size_t last = op.rank(target) - 1;
    if (op.rank(target) == op.rank(x) && op.shape(target)[last] == 1) {
      target = op.without_axis(target, last);
    }
    if (axis + 1 != op.rank(x) || op.rank(target) + 1 != op.rank(x)) {
      op.unsupported("axis", "the classes stand in another axis than the last");
    }
    const ValueId ids = op.with_axis(op.cast(DType::kInt32, target), axis);
    const ValueId own = op.ops().append(program::TakeAlong{}, {logs, ids});
    op.output(op.unary({Function::kNegative}, op.without_axis(own, axis)));
    return;
  }
  const ValueId hits = op.binary(Binary::Kind::kMultiply, op.to_float(target), logs);
  op.output(
      op.unary({Function::kNegative},
               op.reduce(Reduce::Kind::kSum, {static_cast<std::int64_t>(axis)}, false, hits)));
}

// 20 log10(max) - 10 log10(mean((x1 - x2)^2)), over all elements.
void lower_psnr(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"}, true);
  const ValueId square =
      op.unary({Function::kSquare}, op.binary(Binary::Kind::kSubtract, x[0], x[1]));
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < op.rank(square); ++i) axes.push_back(static_cast<std::int64_t>(i));
  const ValueId error =
      op.unary({Function::kLog}, op.reduce(Reduce::Kind::kMean, axes, false, square));
  const ValueId scaled =
      op.binary(Binary::Kind::kMultiply, error, op.number(-10 / std::log(10.0), DType::kFloat32));
  const double top = op.arguments().number("max_val", 1);
  op.output(
      op.binary(Binary::Kind::kAdd, scaled, op.number(20 * std::log10(top), DType::kFloat32)));
}

}  // namespace

void register_losses(Registry& registry);
void register_losses(Registry& registry) {
  add_operations(registry, {"BinaryCrossentropy"}, {"target", "output"}, {"from_logits"},
                 lower_binary);
  add_operations(registry, {"CategoricalCrossentropy", "SparseCategoricalCrossentropy"},
                 {"target", "output"}, {"from_logits", "axis"}, lower_categorical);
  add_operations(registry, {"PSNR"}, {"x1", "x2"}, {"max_val"}, lower_psnr);
}

}  // namespace kerf::layers
