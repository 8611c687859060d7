#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "layers/operation.h"

// Operations that lay out values in a line or a grid.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reshape;

// num values from start to stop on a new axis: evenly, or the powers of a base of these, or by a
// constant factor.
void lower_range(Operation& op) {
  const std::string& name = op.class_name();
  const std::vector<ValueId> ends = op.promoted({"start", "stop"}, true);
  const std::size_t rank = std::max(op.rank(ends[0]), op.rank(ends[1]));
  const std::int64_t count = op.arguments().size("num", 50);
  constexpr std::int64_t kMost = 1 << 20;
  if (count > kMost || rank == Shape::kMaxRank) op.unsupported("num", "there are too many");
  if (op.arguments().boolean("retstep", false)) op.unsupported("retstep", "is true");
  const std::size_t axis = op.axis("axis", 0, rank + 1);
  const bool end = op.arguments().boolean("endpoint", true);
  std::vector<float> shares(static_cast<std::size_t>(count));
  const double steps = static_cast<double>(std::max<std::int64_t>(end ? count - 1 : count, 1));
  for (std::size_t i = 0; i < shares.size(); ++i) {
    shares[i] = static_cast<float>(static_cast<double>(i) / steps);
  }
  Shape spread;
  for (std::size_t i = 0; i <= rank; ++i) spread.push_back(i == axis ? count : 1);
  const ValueId share = op.ops().constant(Tensor::floats(spread, shares));
  // A bound of lower rank stands at the end, as everywhere.
  const auto placed = [&](ValueId x) {
    return op.rank(x) == rank ? op.with_axis(x, axis)
                              : op.with_axis(x, axis - std::min(axis, rank - op.rank(x)));
  };
  const ValueId start = placed(ends[0]);
  ValueId y = 0;
  if (name == "Geomspace") {
    const ValueId factor = op.binary(Binary::Kind::kDivide, placed(ends[1]), start);
    y = op.binary(Binary::Kind::kMultiply, start, op.binary(Binary::Kind::kPower, factor, share));
  } else {
    const ValueId way = op.binary(Binary::Kind::kSubtract, placed(ends[1]), start);
    y = op.binary(Binary::Kind::kAdd, op.binary(Binary::Kind::kMultiply, way, share), start);
    if (name == "Logspace") {
      const ValueId base = op.number(op.arguments().number("base", 10), DType::kFloat32);
      y = op.binary(Binary::Kind::kPower, base, y);
    }
  }
  op.output(op.cast(op.dtype_of("dtype", DType::kFloat32), y));
}

// Each line spread over the axes of all.
void lower_meshgrid(Operation& op) {
  std::vector<ValueId> lines;
  const boost::json::value* given = op.arguments().find("*x");
  if (given == nullptr || !given->is_array()) op.invalid("*x", "is missing");
  for (const boost::json::value& item : given->get_array()) {
    lines.push_back(op.reshape({Reshape::kInfer}, op.part("*x", item)));
  }
  if (lines.size() > Shape::kMaxRank) op.unsupported("*x", "there are too many lines");
  const std::string indexing = op.arguments().text("indexing", "xy");
  if (indexing != "xy" && indexing != "ij") op.invalid("indexing", "is neither xy nor ij");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto axis_of = [&](std::size_t line) {
      return indexing == "xy" && line < 2 && lines.size() > 1 ? 1 - line : line;
    };
    std::vector<std::int64_t> dims(lines.size(), 1);
    dims[axis_of(i)] = Reshape::copy(0);
    ValueId y = op.reshape(std::move(dims), lines[i]);
    for (std::size_t other = 0; other < lines.size(); ++other) {
      if (other == i) continue;
      y = op.ops().append(program::Tile{.axis = static_cast<std::int64_t>(axis_of(other)),
                                        .times = op.known_size(lines[other], 0)},
                          {y});
    }
    op.output(y);
  }
}

// The powers of each element of a line, in a row.
void lower_vander(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  if (op.rank(x) != 1) op.invalid("x", "is no line");
  const std::int64_t count = op.has("N") ? op.arguments().size("N") : op.known_size(x, 0);
  constexpr std::int64_t kMost = 1 << 16;
  if (count > kMost) op.unsupported("N", "there are too many powers");
  std::vector<float> powers(static_cast<std::size_t>(count));
  const bool up = op.arguments().boolean("increasing", false);
  for (std::size_t i = 0; i < powers.size(); ++i) {
    powers[i] = static_cast<float>(up ? i : powers.size() - 1 - i);
  }
  op.output(op.binary(Binary::Kind::kPower, op.with_axis(x, 1),
                      op.ops().constant(Tensor::floats({count}, powers))));
}

// The place on each axis of a shape of what stands at a place in the row of all.
void lower_unravel(Operation& op) {
  ValueId rest = op.tensor("indices");
  const std::vector<std::int64_t> shape = op.arguments().integers("shape");
  std::vector<ValueId> places;
  for (std::size_t i = shape.size(); i-- > 0;) {
    if (shape[i] < 1) op.invalid("shape", "has a size below 1");
    const ValueId size = op.number(static_cast<double>(shape[i]), op.dtype(rest));
    places.push_back(i == 0 ? rest : op.binary(Binary::Kind::kModulo, rest, size));
    rest = op.binary(Binary::Kind::kFloorDivide, rest, size);
  }
  std::ranges::reverse(places);
  for (const ValueId place : places) op.output(place);
}

// sqrt(sum((x - y)^2)) between the rows of two tensors.
void lower_distances(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const ValueId y = op.to_float(op.tensor("y"));
  const std::size_t rank = op.rank(x);
  if (rank < 2 || rank != op.rank(y) || rank == Shape::kMaxRank) {
    op.invalid("x", "and y are no rows of the same number of dimensions");
  }
  const ValueId apart =
      op.binary(Binary::Kind::kSubtract, op.with_axis(x, rank - 1), op.with_axis(y, rank - 2));
  const ValueId sum = op.reduce(program::Reduce::Kind::kSum, {static_cast<std::int64_t>(rank)},
                                false, op.unary({Function::kSquare}, apart));
  op.output(op.unary({Function::kSqrt}, sum));
}

}  // namespace

void register_ranges(Registry& registry);
void register_ranges(Registry& registry) {
  add_operations(registry, {"Linspace"}, {"start", "stop"},
                 {"num", "endpoint", "retstep", "dtype", "axis"}, lower_range);
  add_operations(registry, {"Logspace"}, {"start", "stop"},
                 {"num", "endpoint", "base", "dtype", "axis"}, lower_range);
  add_operations(registry, {"Geomspace"}, {"start", "stop"}, {"num", "endpoint", "dtype", "axis"},
                 lower_range);
  add_operations(registry, {"Meshgrid"}, {"*x"}, {"indexing"}, lower_meshgrid);
  add_operations(registry, {"Vander"}, {"x"}, {"N", "increasing"}, lower_vander);
  add_operations(registry, {"UnravelIndex"}, {"indices"}, {"shape"}, lower_unravel);
  add_operations(registry, {"CDist"}, {"x", "y"}, {}, lower_distances);
}

}  // namespace kerf::layers
