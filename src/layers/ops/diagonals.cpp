#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "layers/operation.h"

// Operations on the diagonals of matrices, which stand in two axes of known size.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reduce;
using program::Reshape;

// Truths where `keep(row, column)` holds.
template <typename Keep>
ValueId pattern(Operation& op, std::int64_t rows, std::int64_t columns, const Keep& keep) {
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (rows * columns > kMost) op.unsupported("x", "a matrix is too large");
  std::vector<std::uint8_t> truths(static_cast<std::size_t>(rows * columns));
  for (std::size_t i = 0; i < truths.size(); ++i) {
    const auto row = static_cast<std::int64_t>(i) / columns;
    truths[i] = keep(row, static_cast<std::int64_t>(i) % columns) ? 1 : 0;
  }
  return op.ops().constant(Tensor::of<std::uint8_t>(DType::kBool, {rows, columns}, truths));
}

void lower_triangle(Operation& op) {
  ValueId x = op.tensor("x");
  if (op.rank(x) == 0) op.invalid("x", "is no matrix");
  // NumPy makes a matrix of equal rows of a vector.
  if (op.rank(x) == 1) {
    const std::int64_t size = op.known_size(x, 0);
    x = op.ops().append(program::Tile{.axis = 0, .times = size}, {op.with_axis(x, 0)});
  }
  const std::int64_t k = op.arguments().integer("k", 0);
  const bool lower = op.class_name() == "Tril";
  const ValueId kept =
      pattern(op, op.known_size(x, op.rank(x) - 2), op.known_size(x, op.rank(x) - 1),
              [&](std::int64_t row, std::int64_t column) {
                return lower ? column - row <= k : column - row >= k;
              });
  op.output(op.select(kept, x, op.number(0, op.dtype(x))));
}

// The diagonal of the matrices in two axes, as a last axis.
ValueId diagonal(Operation& op, ValueId x, std::size_t first, std::size_t second,
                 std::int64_t offset) {
  if (first == second) op.invalid("axis1", "is axis2 too");
  if (offset < -program::kMaxDimension || offset > program::kMaxDimension) {
    op.invalid("offset", "is out of range");
  }
  std::vector<std::int64_t> order;
  for (std::size_t i = 0; i < op.rank(x); ++i) {
    if (i != first && i != second) order.push_back(static_cast<std::int64_t>(i));
  }
  order.push_back(static_cast<std::int64_t>(first));
  order.push_back(static_cast<std::int64_t>(second));
  const std::int64_t rows = op.known_size(x, first);
  const std::int64_t columns = op.known_size(x, second);
  const std::size_t last = op.rank(x) - 2;
  const ValueId moved = op.transpose(std::move(order), x);
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < last; ++i) dims.push_back(Reshape::copy(i));
  dims.push_back(rows * columns);
  const ValueId line = op.reshape(std::move(dims), moved);
  const std::int64_t length = std::max<std::int64_t>(
      offset >= 0 ? std::min(rows, columns - offset) : std::min(rows + offset, columns), 0);
  const std::int64_t begin = offset >= 0 ? offset : -offset * columns;
  if (length == 0) return op.slice(line, last, 0, 0);
  return op.slice(line, last, begin, begin + (length - 1) * (columns + 1) + 1, columns + 1);
}

void lower_diagonal(Operation& op) {
  const ValueId x = op.tensor("x");
  if (op.rank(x) < 2) op.invalid("x", "is no matrix");
  ValueId y = diagonal(op, x, op.axis("axis1", 0, op.rank(x)), op.axis("axis2", 1, op.rank(x)),
                       op.arguments().integer("offset", 0));
  if (op.class_name() == "Trace") {
    if (op.dtype(y) == DType::kBool) y = op.cast(DType::kInt32, y);
    y = op.reduce(Reduce::Kind::kSum, {static_cast<std::int64_t>(op.rank(y)) - 1}, false, y);
  }
  op.output(y);
}

// A matrix with a vector as diagonal k, or the diagonal k of a matrix.
void lower_diag(Operation& op) {
  ValueId x = op.tensor("x");
  const std::int64_t k = op.arguments().integer("k", 0);
  if (op.class_name() == "Diagflat") x = op.reshape({Reshape::kInfer}, x);
  if (op.rank(x) == 2) {
    op.output(diagonal(op, x, 0, 1, k));
    return;
  }
  if (op.rank(x) != 1) op.invalid("x", fmt::format("has the shape {}", op.shape(x).to_string()));
  const std::int64_t count = op.known_size(x, 0);
  constexpr std::int64_t kMost = 1 << 12;
  if (k < -kMost || k > kMost || count > kMost) op.unsupported("k", "the matrix is too large");
  const std::int64_t size = count + std::abs(k);
  program::Pad pad{.before = {std::max<std::int64_t>(k, 0)},
                   .after = {std::max<std::int64_t>(-k, 0)}};
  // Each row holds the whole vector; what is off the diagonal is cleared.
  const ValueId row = op.reshape({1, size}, op.ops().append(std::move(pad), {x}));
  const ValueId kept =
      pattern(op, size, size, [&](std::int64_t i, std::int64_t j) { return j - i == k; });
  op.output(op.select(kept, row, op.number(0, op.dtype(x))));
}

}  // namespace

void register_diagonals(Registry& registry);
void register_diagonals(Registry& registry) {
  add_operations(registry, {"Tril", "Triu"}, {"x"}, {"k"}, lower_triangle);
  add_operations(registry, {"Diagonal", "Trace"}, {"x"}, {"offset", "axis1", "axis2"},
                 lower_diagonal);
  add_operations(registry, {"Diag", "Diagflat"}, {"x"}, {"k"}, lower_diag);
}

}  // namespace kerf::layers
