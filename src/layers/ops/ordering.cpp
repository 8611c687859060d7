#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "layers/operation.h"

// Operations that order elements: sorting, the largest ones, quantiles, places in a sorted line.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reduce;

// x sorted along its last axis.
ValueId sorted(Operation& op, ValueId x, bool descending = false) {
  const ValueId order = op.ops().append(program::ArgSort{descending}, {x});
  return op.ops().append(program::TakeAlong{}, {x, order});
}

// An axis as the last one, and back.
ValueId to_last(Operation& op, ValueId x, std::size_t axis) {
  return op.swapped(x, axis, op.rank(x) - 1);
}

void lower_sort(Operation& op) {
  std::size_t axis = 0;
  const ValueId x = op.along(op.tensor("x"), axis, -1);
  const ValueId line = to_last(op, x, axis);
  const ValueId y =
      op.class_name() == "Sort" ? sorted(op, line) : op.ops().append(program::ArgSort{}, {line});
  op.output(to_last(op, y, axis));
}

void lower_top_k(Operation& op) {
  const ValueId x = op.tensor("x");
  if (op.rank(x) == 0) op.invalid("x", "is a number");
  const std::int64_t k = op.arguments().size("k", 1);
  const std::size_t last = op.rank(x) - 1;
  if (op.shape(x)[last] != Shape::kUnknown && k > op.shape(x)[last]) {
    op.invalid("k", fmt::format("{} elements of {}", k, op.shape(x)[last]));
  }
  const ValueId order = op.slice(op.ops().append(program::ArgSort{true}, {x}), last, 0, k);
  op.output(op.ops().append(program::TakeAlong{}, {x, order}));
  op.output(order);
}

// Whether a row's prediction for the target is among its k largest.
void lower_in_top_k(Operation& op) {
  const ValueId predictions = op.to_float(op.tensor("predictions"));
  const ValueId targets = op.tensor("targets");
  if (op.rank(predictions) != 2 || op.rank(targets) != 1) {
    op.invalid("predictions", "is no matrix with a row for each target");
  }
  const ValueId ids = op.with_axis(op.cast(DType::kInt32, targets), 1);
  const ValueId own = op.ops().append(program::TakeAlong{}, {predictions, ids});
  const ValueId above = op.cast(DType::kInt32, op.binary(Binary::Kind::kGreater, predictions, own));
  const ValueId count = op.reduce(Reduce::Kind::kSum, {1}, false, above);
  const auto k = static_cast<double>(op.arguments().size("k"));
  op.output(op.binary(Binary::Kind::kLess, count, op.number(k, DType::kInt32)));
}

void lower_take_along_axis(Operation& op) {
  std::size_t axis = 0;
  const ValueId x = op.along(op.tensor("x"), axis);
  ValueId ids = op.tensor("indices");
  if (op.dtype(ids) != DType::kInt64) ids = op.cast(DType::kInt32, ids);
  if (!op.has("axis") && op.rank(ids) != 1) ids = op.reshape({program::Reshape::kInfer}, ids);
  if (op.rank(ids) != op.rank(x)) op.invalid("indices", "has another rank than x");
  // Axes of one element stand for all of the other tensor's.
  ValueId table = to_last(op, x, axis);
  ids = to_last(op, ids, axis);
  for (std::size_t i = 0; i + 1 < op.rank(x); ++i) {
    const std::int64_t a = op.shape(table)[i];
    const std::int64_t b = op.shape(ids)[i];
    if (a == b || (a != 1 && b != 1)) continue;
    ValueId& narrow = a == 1 ? table : ids;
    const std::int64_t times = op.known_size(a == 1 ? ids : table, i);
    narrow = op.ops().append(program::Tile{.axis = static_cast<std::int64_t>(i), .times = times},
                             {narrow});
  }
  op.output(to_last(op, op.ops().append(program::TakeAlong{}, {table, ids}), axis));
}

// What lies at a share of the way from the least element of a sorted line to its largest.
ValueId quantile(Operation& op, ValueId line, double share, const std::string& method) {
  const std::size_t last = op.rank(line) - 1;
  const std::int64_t size = op.known_size(line, last);
  if (size < 1) op.invalid("axis", "there is no quantile of no elements");
  const double place = share * static_cast<double>(size - 1);
  const auto low = static_cast<std::int64_t>(std::floor(place));
  const auto at = [&](std::int64_t i) { return op.slice(line, last, i, i + 1); };
  const double rest = place - std::floor(place);
  if (rest == 0 || method == "lower") return at(low);
  if (method == "higher") return at(low + 1);
  if (method == "nearest") return at(static_cast<std::int64_t>(std::nearbyint(place)));
  if (method != "linear" && method != "midpoint") {
    op.unsupported("method", fmt::format("'{}' is not one kerf knows", method));
  }
  const ValueId weight = op.number(method == "linear" ? rest : 0.5, DType::kFloat32);
  const ValueId difference = op.binary(Binary::Kind::kSubtract, at(low + 1), at(low));
  return op.binary(Binary::Kind::kAdd, at(low),
                   op.binary(Binary::Kind::kMultiply, difference, weight));
}

void lower_quantile(Operation& op) {
  ValueId x = op.to_float(op.tensor("x"));
  const std::size_t rank = op.rank(x);
  std::vector<std::int64_t> axes = op.axes("axis", rank);
  // The axes that are ordered become one, the last.
  std::vector<std::int64_t> order;
  std::vector<std::int64_t> dims;
  std::int64_t count = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    if (std::ranges::find(axes, static_cast<std::int64_t>(i)) != axes.end()) {
      count = std::min(count, program::kMaxDimension + 1) * op.known_size(x, i);
    } else {
      dims.push_back(program::Reshape::copy(order.size()));
      order.push_back(static_cast<std::int64_t>(i));
    }
  }
  order.insert(order.end(), axes.begin(), axes.end());
  if (count > program::kMaxDimension) op.unsupported("axis", "there are too many elements");
  dims.push_back(count);
  const ValueId line = sorted(op, op.reshape(dims, op.transpose(std::move(order), x)));
  std::vector<double> shares{0.5};
  bool single = true;
  if (op.class_name() != "Median") {
    const auto q = op.literal("q");
    if (!q) op.unsupported("q", "must be a number that the file holds");
    single = q->shape().rank() == 0;
    const Tensor numbers = q->cast(DType::kFloat64);
    shares.assign(numbers.as<double>().begin(), numbers.as<double>().end());
    for (double& share : shares) {
      if (op.class_name() == "Percentile") share /= 100;
      if (!(share >= 0 && share <= 1)) op.invalid("q", "is no share");
    }
  }
  // Quantile of Keras does not pass its method on where it stands in a graph.
  const std::string method =
      op.class_name() == "Quantile" ? "linear" : op.arguments().text("method", "linear");
  const bool keep = op.arguments().boolean("keepdims", false);
  std::vector<std::int64_t> kept;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    const bool gone = std::ranges::find(axes, static_cast<std::int64_t>(i)) != axes.end();
    if (!gone || keep) kept.push_back(gone ? 1 : program::Reshape::copy(next));
    next += gone ? 0 : 1;
  }
  std::vector<ValueId> results;
  for (const double share : shares) {
    const ValueId y = op.reshape(kept, quantile(op, line, share, method));
    results.push_back(single ? y : op.with_axis(y, 0));
  }
  if (results.empty()) op.invalid("q", "is an empty list");
  op.output(op.concat(std::move(results), 0));
}

// How many of a sorted line's elements are below each value, or (from the right) not above it.
void count_below(Operation& op, ValueId line, ValueId values, bool right) {
  if (op.rank(line) != 1) op.unsupported("sorted_sequence", "must be one line");
  const std::size_t last = op.rank(values);
  const ValueId spread = op.with_axis(values, last);
  const ValueId below =
      op.binary(right ? Binary::Kind::kLessEqual : Binary::Kind::kLess, line, spread);
  op.output(op.reduce(Reduce::Kind::kSum, {static_cast<std::int64_t>(last)}, false,
                      op.cast(DType::kInt32, below)));
}

void lower_search_sorted(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"sorted_sequence", "values"});
  const std::string side = op.arguments().text("side", "left");
  if (side != "left" && side != "right") op.invalid("side", fmt::format("is '{}'", side));
  count_below(op, x[0], x[1], side == "right");
}

void lower_digitize(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"bins", "x"});
  count_below(op, x[0], x[1], true);
}

}  // namespace

void register_ordering(Registry& registry);
void register_ordering(Registry& registry) {
  add_operations(registry, {"Sort", "Argsort"}, {"x"}, {"axis"}, lower_sort);
  add_operations(registry, {"TopK"}, {"x"}, {"k", "sorted", "is_stable"}, lower_top_k);
  add_operations(registry, {"InTopK"}, {"targets", "predictions"}, {"k"}, lower_in_top_k);
  add_operations(registry, {"TakeAlongAxis"}, {"x", "indices"}, {"axis"}, lower_take_along_axis);
  add_operations(registry, {"Median"}, {"x"}, {"axis", "keepdims"}, lower_quantile);
  add_operations(registry, {"Quantile", "Percentile"}, {"x", "q"}, {"axis", "method", "keepdims"},
                 lower_quantile);
  add_operations(registry, {"SearchSorted"}, {"sorted_sequence", "values"}, {"side"},
                 lower_search_sorted);
  add_operations(registry, {"Digitize"}, {"x", "bins"}, {}, lower_digitize);
}

}  // namespace kerf::layers
