#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/activation.h"
#include "layers/operation.h"

// Operations that look along axes: reductions, norms and what normalises by them.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reduce;
using program::Reshape;

bool keeps(const Operation& op) { return op.arguments().boolean("keepdims", false); }

void lower_reduction(Operation& op) {
  const std::string& name = op.class_name();
  ValueId x = op.tensor("x");
  const std::vector<std::int64_t> axes = op.axes("axis", op.rank(x));
  Reduce::Kind kind = Reduce::Kind::kSum;
  if (name == "Mean") {
    kind = Reduce::Kind::kMean;
    x = op.to_float(x);
  } else if (name == "Max" || name == "Amax") {
    kind = Reduce::Kind::kMax;
  } else if (name == "Min" || name == "Amin") {
    kind = Reduce::Kind::kMin;
  } else if (name == "Prod") {
    kind = Reduce::Kind::kProduct;
  }
  const bool extreme = kind == Reduce::Kind::kMax || kind == Reduce::Kind::kMin;
  if (op.dtype(x) == DType::kBool) {
    // The largest of bools is whether there is one, the least whether all are.
    if (extreme) {
      kind = kind == Reduce::Kind::kMax ? Reduce::Kind::kAny : Reduce::Kind::kAll;
    } else {
      x = op.cast(DType::kInt32, x);
    }
  }
  x = op.cast(op.dtype_of("dtype", op.dtype(x)), x);
  ValueId y = op.reduce(kind, axes, keeps(op), x);
  if (op.has("initial")) {
    y = op.binary(kind == Reduce::Kind::kMax ? Binary::Kind::kMaximum : Binary::Kind::kMinimum, y,
                  op.number(op.arguments().number("initial", 0), op.dtype(y)));
  }
  op.output(y);
}

// A result with kept axes as the call wants it.
ValueId dropped(Operation& op, ValueId kept, const std::vector<std::int64_t>& axes, bool keep) {
  if (keep || axes.empty()) return kept;
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < op.rank(kept); ++i) {
    if (std::ranges::find(axes, static_cast<std::int64_t>(i)) == axes.end()) {
      dims.push_back(Reshape::copy(i));
    }
  }
  return op.reshape(std::move(dims), kept);
}

// A reduction that leaves out what is no number.
void lower_nan_reduction(Operation& op) {
  const std::string& name = op.class_name();
  const ValueId x = op.to_float(op.tensor("x"));
  const std::vector<std::int64_t> axes = op.axes("axis", op.rank(x));
  const ValueId number = op.binary(Binary::Kind::kEqual, x, x);
  const double infinity = std::numeric_limits<double>::infinity();
  const auto reduced = [&](Reduce::Kind kind, ValueId terms, double neutral) {
    return op.reduce(kind, axes, true,
                     op.select(number, terms, op.number(neutral, DType::kFloat32)));
  };
  const ValueId count = op.reduce(Reduce::Kind::kSum, axes, true, op.to_float(number));
  const ValueId none = op.binary(Binary::Kind::kEqual, count, op.number(0, DType::kFloat32));
  const ValueId nan = op.number(std::numeric_limits<double>::quiet_NaN(), DType::kFloat32);
  ValueId y = 0;
  if (name == "Nanmax") {
    y = op.select(none, nan, reduced(Reduce::Kind::kMax, x, -infinity));
  } else if (name == "Nanmin") {
    y = op.select(none, nan, reduced(Reduce::Kind::kMin, x, infinity));
  } else if (name == "Nanprod") {
    y = reduced(Reduce::Kind::kProduct, x, 1);
  } else {
    y = reduced(Reduce::Kind::kSum, x, 0);
    if (name != "Nansum") y = op.binary(Binary::Kind::kDivide, y, count);
    if (name == "Nanvar" || name == "Nanstd") {
      const ValueId square =
          op.unary({Function::kSquare}, op.binary(Binary::Kind::kSubtract, x, y));
      y = op.binary(Binary::Kind::kDivide, reduced(Reduce::Kind::kSum, square, 0), count);
    }
    if (name == "Nanstd") y = op.unary({Function::kSqrt}, y);
  }
  op.output(dropped(op, y, axes, keeps(op)));
}

// The largest element less the smallest.
void lower_ptp(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::vector<std::int64_t> axes = op.axes("axis", op.rank(x));
  op.output(op.binary(Binary::Kind::kSubtract, op.reduce(Reduce::Kind::kMax, axes, keeps(op), x),
                      op.reduce(Reduce::Kind::kMin, axes, keeps(op), x)));
}

// A mean, by weights of the whole shape or of the one axis.
void lower_average(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const std::vector<std::int64_t> axes = op.axes("axis", op.rank(x));
  if (!op.has("weights")) {
    op.output(op.reduce(Reduce::Kind::kMean, axes, false, x));
    return;
  }
  ValueId weights = op.to_float(op.tensor("weights"));
  if (op.rank(weights) != op.rank(x)) {
    if (op.rank(weights) != 1 || axes.size() != 1) op.invalid("weights", "do not fit the input");
    std::vector<std::int64_t> dims(op.rank(x), 1);
    dims[static_cast<std::size_t>(axes[0])] = Reshape::copy(0);
    weights = op.reshape(std::move(dims), weights);
  }
  const ValueId sum =
      op.reduce(Reduce::Kind::kSum, axes, false, op.binary(Binary::Kind::kMultiply, x, weights));
  op.output(
      op.binary(Binary::Kind::kDivide, sum, op.reduce(Reduce::Kind::kSum, axes, false, weights)));
}

// Differences of neighbours, n times.
void lower_diff(Operation& op) {
  ValueId x = op.tensor("a");
  const std::size_t axis = op.axis("axis", -1, op.rank(x));
  const std::int64_t times = op.arguments().integer("n", 1);
  if (times < 0 || times > 64) op.unsupported("n", "is out of range");
  for (std::int64_t i = 0; i < times; ++i) {
    const ValueId later = op.slice(x, axis, 1, {});
    const ValueId sooner = op.slice(x, axis, {}, -1);
    x = op.dtype(x) == DType::kBool ? op.binary(Binary::Kind::kNotEqual, later, sooner)
                                    : op.binary(Binary::Kind::kSubtract, later, sooner);
  }
  op.output(x);
}

// The area below y by trapezoids.
void lower_trapezoid(Operation& op) {
  const ValueId y = op.to_float(op.tensor("y"));
  const std::size_t axis = op.axis("axis", -1, op.rank(y));
  const ValueId both =
      op.binary(Binary::Kind::kAdd, op.slice(y, axis, 1, {}), op.slice(y, axis, {}, -1));
  ValueId width = op.number(op.arguments().number("dx", 1) / 2, DType::kFloat32);
  if (op.has("x")) {
    const ValueId x = op.to_float(op.tensor("x"));
    const std::size_t own = op.rank(x) == 1 ? 0 : axis;
    if (own != axis && axis + 1 != op.rank(y)) op.unsupported("axis", "is not the last");
    const ValueId steps =
        op.binary(Binary::Kind::kSubtract, op.slice(x, own, 1, {}), op.slice(x, own, {}, -1));
    width = op.binary(Binary::Kind::kMultiply, steps, op.number(0.5, DType::kFloat32));
  }
  op.output(op.reduce(Reduce::Kind::kSum, {static_cast<std::int64_t>(axis)}, false,
                      op.binary(Binary::Kind::kMultiply, both, width)));
}

void lower_logic(Operation& op) {
  const ValueId x = op.to_bool(op.tensor("x"));
  const auto kind = op.class_name() == "Any" ? Reduce::Kind::kAny : Reduce::Kind::kAll;
  op.output(op.reduce(kind, op.axes("axis", op.rank(x)), keeps(op), x));
}

void lower_count_nonzero(Operation& op) {
  const ValueId x = op.cast(DType::kInt32, op.to_bool(op.tensor("x")));
  op.output(op.reduce(Reduce::Kind::kSum, op.axes("axis", op.rank(x)), keeps(op), x));
}

struct Moments {
  ValueId mean;      // with the axes kept
  ValueId centred;   // x - mean
  ValueId variance;  // of the population, with the axes kept
};

Moments moments(Operation& op, ValueId x, const std::vector<std::int64_t>& axes) {
  Moments m{};
  m.mean = op.reduce(Reduce::Kind::kMean, axes, true, x);
  m.centred = op.binary(Binary::Kind::kSubtract, x, m.mean);
  m.variance = op.reduce(Reduce::Kind::kMean, axes, true, op.unary({Function::kSquare}, m.centred));
  return m;
}

void lower_variance(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const std::vector<std::int64_t> axes = op.axes("axis", op.rank(x));
  ValueId y = dropped(op, moments(op, x, axes).variance, axes, keeps(op));
  if (op.class_name() == "Std") y = op.unary({Function::kSqrt}, y);
  op.output(y);
}

void lower_moments(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const std::vector<std::int64_t> axes = op.axes("axes", op.rank(x));
  const Moments m = moments(op, x, axes);
  op.output(dropped(op, m.mean, axes, keeps(op)));
  op.output(dropped(op, m.variance, axes, keeps(op)));
}

// log(sum(exp(x))), with the largest element taken out of the sum where it is finite.
void lower_logsumexp(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const std::vector<std::int64_t> axes = op.axes("axis", op.rank(x));
  const ValueId top = op.reduce(Reduce::Kind::kMax, axes, true, x);
  const ValueId infinity = op.number(std::numeric_limits<double>::infinity(), DType::kFloat32);
  const ValueId finite = op.binary(Binary::Kind::kLess, op.unary({Function::kAbs}, top), infinity);
  const ValueId shift =
      op.ops().append(program::Select{}, {finite, top, op.number(0, DType::kFloat32)});
  const ValueId terms = op.unary({Function::kExp}, op.binary(Binary::Kind::kSubtract, x, shift));
  const ValueId sum = op.reduce(Reduce::Kind::kSum, axes, true, terms);
  const ValueId y = op.binary(Binary::Kind::kAdd, op.unary({Function::kLog}, sum), shift);
  op.output(dropped(op, y, axes, keeps(op)));
}

void lower_arg_reduction(Operation& op) {
  const ValueId x = op.tensor("x");
  std::size_t axis = 0;
  const ValueId line = op.along(x, axis);
  program::ArgReduce reduce{.axis = static_cast<std::int64_t>(axis)};
  if (op.class_name() == "Argmin") reduce.kind = program::ArgReduce::Kind::kMin;
  ValueId y = op.ops().append(reduce, {line});
  if (keeps(op)) {
    std::vector<std::int64_t> dims;
    for (std::size_t i = 0; i < op.rank(x); ++i) {
      const bool reduced = !op.has("axis") || i == axis;
      dims.push_back(reduced ? 1 : Reshape::copy(i < axis ? i : i - 1));
    }
    y = op.reshape(std::move(dims), y);
  }
  op.output(y);
}

void lower_cumulation(Operation& op) {
  ValueId x = op.tensor("x");
  x = op.cast(op.dtype_of("dtype", op.dtype(x) == DType::kBool ? DType::kInt32 : op.dtype(x)), x);
  std::size_t axis = 0;
  x = op.along(x, axis);
  program::Cumulate cumulate{.axis = static_cast<std::int64_t>(axis)};
  if (op.class_name() == "Cumprod") cumulate.kind = program::Cumulate::Kind::kProduct;
  op.output(op.ops().append(cumulate, {x}));
}

// The norm of order p over axes, which stay.
ValueId norm(Operation& op, ValueId x, const std::vector<std::int64_t>& axes, double order) {
  if (order == 2) {
    return op.unary({Function::kSqrt},
                    op.reduce(Reduce::Kind::kSum, axes, true, op.unary({Function::kSquare}, x)));
  }
  const ValueId sizes = op.unary({Function::kAbs}, x);
  if (std::isinf(order)) {
    return op.reduce(order > 0 ? Reduce::Kind::kMax : Reduce::Kind::kMin, axes, true, sizes);
  }
  if (order == 0) {
    return op.reduce(Reduce::Kind::kSum, axes, true, op.to_float(op.to_bool(x)));
  }
  if (order == 1) return op.reduce(Reduce::Kind::kSum, axes, true, sizes);
  const ValueId powers = op.binary(Binary::Kind::kPower, sizes, op.number(order, DType::kFloat32));
  return op.binary(Binary::Kind::kPower, op.reduce(Reduce::Kind::kSum, axes, true, powers),
                   op.number(1 / order, DType::kFloat32));
}

// The largest or smallest sum of a column's or a row's magnitudes, as order 1 or infinity has it.
ValueId matrix_norm(Operation& op, ValueId x) {
  const std::size_t rank = op.rank(x);
  std::vector<std::int64_t> given{0, 1};
  if (op.has("axis")) given = op.arguments().integers("axis");
  const double order = op.arguments().number("ord", 2);
  if (given.size() != 2 || rank < 2 || (std::abs(order) != 1 && !std::isinf(order))) {
    op.unsupported("ord", "of matrices kerf computes the Frobenius norm, and those of 1 and inf");
  }
  std::array axes{op.axis_at("axis", given[0], rank), op.axis_at("axis", given[1], rank)};
  if (std::isinf(order)) std::swap(axes[0], axes[1]);
  const ValueId sums = op.reduce(Reduce::Kind::kSum, {static_cast<std::int64_t>(axes[0])}, true,
                                 op.unary({Function::kAbs}, x));
  return op.reduce(order > 0 ? Reduce::Kind::kMax : Reduce::Kind::kMin,
                   {static_cast<std::int64_t>(axes[1])}, true, sums);
}

void lower_norm(Operation& op) {
  ValueId x = op.to_float(op.tensor("x"));
  const boost::json::value* order = op.arguments().find("ord");
  const bool frobenius =
      order == nullptr ||
      (order->is_string() && (order->get_string() == "fro" || order->get_string() == "euclidean"));
  // Without axes the norm is of the vector or matrix, or of all elements as a vector.
  const std::vector<std::int64_t> axes = op.axes("axis", op.rank(x));
  if (!frobenius && axes.size() != 1) {
    op.output(dropped(op, matrix_norm(op, x), axes, keeps(op)));
    return;
  }
  const double p = frobenius ? 2 : op.arguments().number("ord", 2);
  op.output(dropped(op, norm(op, x, axes, p), axes, keeps(op)));
}

void lower_normalize(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  std::vector<std::int64_t> axes{static_cast<std::int64_t>(op.rank(x)) - 1};
  if (op.has("axis")) axes = op.axes("axis", op.rank(x));
  const double order = op.arguments().number("order", 2);
  const double epsilon = op.arguments().number("epsilon", 1e-7);
  if (order == 2 && axes.size() == 1) {
    op.output(op.ops().append(
        program::L2Normalize{.axis = axes[0], .epsilon = static_cast<float>(epsilon)}, {x}));
    return;
  }
  const ValueId length = op.binary(Binary::Kind::kMaximum, norm(op, x, axes, order),
                                   op.number(epsilon, DType::kFloat32));
  op.output(op.binary(Binary::Kind::kDivide, x, length));
}

void lower_softmax(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  if (op.class_name() == "Softmax") {
    op.output(softmax(op.call(), x, op.arguments(), {}));
    return;
  }
  const auto axis = op.axis("axis", -1, op.rank(x));
  op.output(
      op.ops().append(program::Softmax{.axis = static_cast<std::int64_t>(axis), .log = true}, {x}));
}

void lower_sparsemax(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const std::size_t axis = op.axis("axis", -1, op.rank(x));
  const std::size_t last = op.rank(x) - 1;
  const ValueId y = op.ops().append(program::Sparsemax{}, {op.swapped(x, axis, last)});
  op.output(op.swapped(y, axis, last));
}

void lower_glu(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const std::size_t axis = op.axis("axis", -1, op.rank(x));
  const std::int64_t size = op.known_size(x, axis);
  if (size % 2 != 0) op.invalid("axis", "glu needs an even number of channels");
  const auto number = static_cast<std::int64_t>(axis);
  const ValueId a =
      op.ops().append(program::Slice{.axis = number, .begin = 0, .end = size / 2}, {x});
  const ValueId b =
      op.ops().append(program::Slice{.axis = number, .begin = size / 2, .end = {}}, {x});
  op.output(op.binary(Binary::Kind::kMultiply, a, op.unary({Function::kSigmoid}, b)));
}

// (x - mean) / sqrt(variance + epsilon), or x in place of x - mean, times gamma plus beta.
void lower_layer_norm(Operation& op) {
  ValueId x = op.to_float(op.tensor("x"));
  std::vector<std::int64_t> axes{static_cast<std::int64_t>(op.rank(x)) - 1};
  if (op.has("axis")) axes = op.axes("axis", op.rank(x));
  const double epsilon = op.arguments().number("epsilon", 1e-7);
  const bool rms = op.class_name() == "RMSNorm";
  const bool scales_only = rms || op.arguments().boolean("rms_scaling", false);
  if (!rms && axes.front() + std::ssize(axes) == static_cast<std::int64_t>(op.rank(x)) &&
      !op.has("gamma") && !op.has("beta")) {
    op.output(op.ops().append(program::LayerNorm{.axes = axes.size(),
                                                 .epsilon = static_cast<float>(epsilon),
                                                 .center_mean = !scales_only},
                              {x}));
    return;
  }
  ValueId numerator = x;
  ValueId variance = 0;
  if (rms) {
    variance = op.reduce(Reduce::Kind::kMean, axes, true, op.unary({Function::kSquare}, x));
  } else {
    const Moments m = moments(op, x, axes);
    variance = m.variance;
    if (!scales_only) numerator = m.centred;
  }
  const ValueId spread =
      op.unary({Function::kRsqrt},
               op.binary(Binary::Kind::kAdd, variance, op.number(epsilon, DType::kFloat32)));
  ValueId y = op.binary(Binary::Kind::kMultiply, numerator, spread);
  // Weights have the shape of the axes.
  const auto weight = [&](std::string_view name) {
    const ValueId w = op.to_float(op.tensor(name));
    std::vector<std::int64_t> dims(op.rank(x), 1);
    std::size_t next = 0;
    if (op.rank(w) == axes.size()) {
      for (const std::int64_t axis : axes)
        dims[static_cast<std::size_t>(axis)] = Reshape::copy(next++);
      return op.reshape(std::move(dims), w);
    }
    return w;
  };
  const std::string_view gamma = rms ? "scale" : "gamma";
  if (op.has(gamma)) y = op.binary(Binary::Kind::kMultiply, y, weight(gamma));
  if (op.has("beta") && !scales_only) y = op.binary(Binary::Kind::kAdd, y, weight("beta"));
  op.output(y);
}

void lower_batch_norm(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const std::size_t axis = op.axis("axis", -1, op.rank(x));
  const auto vector = [&](std::string_view name) {
    std::vector<std::int64_t> dims(op.rank(x), 1);
    dims[axis] = Reshape::kInfer;
    return op.reshape(std::move(dims), op.to_float(op.tensor(name)));
  };
  const ValueId epsilon = op.number(op.arguments().number("epsilon", 1e-3), DType::kFloat32);
  ValueId factor =
      op.unary({Function::kRsqrt}, op.binary(Binary::Kind::kAdd, vector("variance"), epsilon));
  if (op.has("scale")) factor = op.binary(Binary::Kind::kMultiply, factor, vector("scale"));
  ValueId y = op.binary(Binary::Kind::kMultiply,
                        op.binary(Binary::Kind::kSubtract, x, vector("mean")), factor);
  if (op.has("offset")) y = op.binary(Binary::Kind::kAdd, y, vector("offset"));
  op.output(y);
}

}  // namespace

void register_reductions(Registry& registry);
void register_reductions(Registry& registry) {
  add_operations(registry, {"Sum", "Mean", "Max", "Min", "Amax", "Amin", "Prod"}, {"x"},
                 {"axis", "keepdims", "initial", "dtype"}, lower_reduction);
  add_operations(registry, {"Nansum", "Nanmean", "Nanmax", "Nanmin", "Nanprod", "Nanvar", "Nanstd"},
                 {"x"}, {"axis", "keepdims"}, lower_nan_reduction);
  add_operations(registry, {"Ptp"}, {"x"}, {"axis", "keepdims"}, lower_ptp);
  add_operations(registry, {"Average"}, {"x", "weights"}, {"axis"}, lower_average);
  add_operations(registry, {"Diff"}, {"a"}, {"n", "axis"}, lower_diff);
  add_operations(registry, {"Trapezoid"}, {"y", "x"}, {"x", "dx", "axis"}, lower_trapezoid);
  add_operations(registry, {"Any", "All"}, {"x"}, {"axis", "keepdims"}, lower_logic);
  add_operations(registry, {"CountNonzero"}, {"x"}, {"axis", "keepdims"}, lower_count_nonzero);
  add_operations(registry, {"Var", "Std"}, {"x"}, {"axis", "keepdims"}, lower_variance);
  add_operations(registry, {"Moments"}, {"x"}, {"axes", "keepdims"}, lower_moments);
  add_operations(registry, {"Logsumexp"}, {"x"}, {"axis", "keepdims"}, lower_logsumexp);
  add_operations(registry, {"Argmax", "Argmin"}, {"x"}, {"axis", "keepdims"}, lower_arg_reduction);
  add_operations(registry, {"Cumsum", "Cumprod"}, {"x"}, {"axis", "dtype"}, lower_cumulation);
  add_operations(registry, {"Norm"}, {"x"}, {"ord", "axis", "keepdims"}, lower_norm);
  add_operations(registry, {"Normalize"}, {"x"}, {"axis", "order", "epsilon"}, lower_normalize);
  add_operations(registry, {"Softmax", "LogSoftmax"}, {"x"}, {"axis"}, lower_softmax);
  add_operations(registry, {"Sparsemax"}, {"x"}, {"axis"}, lower_sparsemax);
  add_operations(registry, {"Glu"}, {"x"}, {"axis"}, lower_glu);
  add_operations(registry, {"LayerNorm"}, {"x", "gamma", "beta"},
                 {"axis", "epsilon", "rms_scaling"}, lower_layer_norm);
  add_operations(registry, {"RMSNorm"}, {"x", "scale"}, {"axis", "epsilon"}, lower_layer_norm);
  add_operations(registry, {"BatchNorm"}, {"x", "mean", "variance", "offset", "scale"},
                 {"axis", "epsilon"}, lower_batch_norm);
}

}  // namespace kerf::layers
