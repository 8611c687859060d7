#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "kerf/error.h"
#include "program/op.h"

namespace kerf::program {
namespace {

constexpr std::int64_t kUnknown = Shape::kUnknown;
using Operands = std::vector<ValueType>;

[[noreturn]] void fail(const std::string& message) {
  throw Error(ErrorCode::kInvalidArgument, message);
}

bool compatible(std::int64_t a, std::int64_t b) { return a == b || a == kUnknown || b == kUnknown; }

void require_rank(const ValueType& x, std::size_t rank, std::string_view what) {
  if (x.shape.rank() != rank) {
    fail(fmt::format("{} needs {} dimensions, but has the shape {}", what, rank,
                     x.shape.to_string()));
  }
}

void require_float(const ValueType& x, std::string_view what) {
  if (x.dtype != DType::kFloat32) {
    fail(fmt::format("{} is {}, but must be float32", what, dtype_name(x.dtype)));
  }
}

std::size_t axis_of(std::int64_t axis, std::size_t rank) {
  const std::int64_t positive = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
  if (positive < 0 || positive >= static_cast<std::int64_t>(rank)) {
    fail(fmt::format("there is no axis {} in {} dimensions", axis, rank));
  }
  return static_cast<std::size_t>(positive);
}

Shape broadcast(const Shape& a, const Shape& b) {
  const std::size_t rank = std::max(a.rank(), b.rank());
  Shape result;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t x = i + a.rank() < rank ? 1 : a[i + a.rank() - rank];
    const std::int64_t y = i + b.rank() < rank ? 1 : b[i + b.rank() - rank];
    if (x == y || y == 1 || (y == kUnknown && x != 1)) {
      result.push_back(x);
    } else if (x == 1 || x == kUnknown) {
      result.push_back(y);
    } else {
      fail(fmt::format("the shapes {} and {} do not fit together", a.to_string(), b.to_string()));
    }
  }
  return result;
}

bool compatible(const Shape& a, const Shape& b) {
  if (a.rank() != b.rank()) return false;
  for (std::size_t i = 0; i < a.rank(); ++i) {
    if (!compatible(a[i], b[i])) return false;
  }
  return true;
}

// Checks the bias, residual and scale operands that follow the first `count`.
void check_epilogue(const Epilogue& epilogue, const Operands& operands, std::size_t count,
                    const Shape& result) {
  std::size_t next = count;
  const auto check_vector = [&](const ValueType& vector, const char* what) {
    require_float(vector, what);
    if (vector.shape.rank() != 1 || !compatible(vector.shape[0], result.back())) {
      fail(fmt::format("{} has the shape {}, but {} channels are computed", what,
                       vector.shape.to_string(), result.back()));
    }
  };
  if (epilogue.bias) check_vector(operands[next++], "the bias");
  if (epilogue.residual) {
    const ValueType& residual = operands[next++];
    require_float(residual, "the residual");
    if (!compatible(residual.shape, result)) {
      fail(fmt::format("the residual has the shape {}, but the result has {}",
                       residual.shape.to_string(), result.to_string()));
    }
  }
  if (epilogue.scale) check_vector(operands[next], "the scale");
}

void check_window(const Window& window) {
  // The layers refuse larger ones; here it keeps the geometry from overflowing.
  constexpr std::int64_t kLimit = 1 << 30;
  if (window.rank < 1 || window.rank > 3) fail("a window moves over 1 to 3 axes");
  for (std::size_t axis = 0; axis < window.rank; ++axis) {
    const bool sane = window.size[axis] >= 1 && window.strides[axis] >= 1 &&
                      window.dilation[axis] >= 1 && window.before[axis] >= 0 &&
                      window.after[axis] >= 0 && window.size[axis] <= kLimit &&
                      window.strides[axis] <= kLimit && window.dilation[axis] <= kLimit &&
                      window.before[axis] <= kLimit && window.after[axis] <= kLimit;
    if (!sane) fail("a window has a size, stride, dilation or padding out of range");
  }
}

// How many operands an op takes; Concat and CrossHash take any number.
struct OperandCount {
  static std::size_t extra(const Epilogue& epilogue) {
    return (epilogue.bias ? 1U : 0U) + (epilogue.residual ? 1U : 0U) + (epilogue.scale ? 1U : 0U);
  }
  std::size_t operator()(const Linear& op) const { return 2 + extra(op.epilogue); }
  std::size_t operator()(const Conv& op) const { return 2 + extra(op.epilogue); }
  std::size_t operator()(const DepthwiseConv& op) const { return 2 + extra(op.epilogue); }
  std::size_t operator()(const ConvTranspose& op) const { return 2 + extra(op.epilogue); }
  std::size_t operator()(const MatMul&) const { return 2; }
  std::size_t operator()(const Binary&) const { return 2; }
  std::size_t operator()(const Gather&) const { return 2; }
  std::size_t operator()(const TakeAlong&) const { return 2; }
  std::size_t operator()(const Lookup&) const { return 2; }
  std::size_t operator()(const TokenIds&) const { return 2; }
  std::size_t operator()(const TokenCounts&) const { return 2; }
  std::size_t operator()(const Select&) const { return 3; }
  std::size_t operator()(const Affine&) const { return 3; }
  std::size_t operator()(const Reshape& op) const { return operand_count(op); }
  std::size_t operator()(const ConvLstm& op) const {
    return 2 + (op.mask ? 1U : 0U) + (op.initial_state ? 2U : 0U);
  }
  std::size_t operator()(const Attention& op) const { return 3 + (op.mask ? 1U : 0U); }
  std::size_t operator()(const LayerNorm& op) const {
    return 1 + (op.gamma ? 1U : 0U) + (op.beta ? 1U : 0U);
  }
  std::size_t operator()(const Chain& op) const {
    std::size_t count = 1;
    for (const Chain::Step& step : op.steps) count += operand_count(step);
    return count;
  }
  std::size_t operator()(const Recurrent& op) const {
    const std::size_t states = op.cell == Recurrent::Cell::kLstm ? 2 : 1;
    return 3 + (op.bias ? 1U : 0U) + (op.mask ? 1U : 0U) + (op.initial_state ? states : 0U);
  }
  template <typename Other>
  std::size_t operator()(const Other&) const {
    return 1;
  }
};

Shape window_result(const Window& window, const Shape& x, std::int64_t channels) {
  check_window(window);
  if (x.rank() != window.rank + 2) {
    fail(fmt::format("{} dimensions are needed, but the input has the shape {}", window.rank + 2,
                     x.to_string()));
  }
  Shape result{x[0]};
  for (std::size_t axis = 0; axis < window.rank; ++axis) {
    const std::int64_t size = x[axis + 1];
    const std::int64_t output =
        size == kUnknown ? kUnknown : window_axis(window, axis, size).output;
    if (size != kUnknown && size != 0 && output <= 0) {
      fail(fmt::format("a window of {} does not fit into {} cells", window.size[axis], size));
    }
    result.push_back(output);
  }
  result.push_back(channels);
  return result;
}

struct Infer {
  const Operands& operands;

  const ValueType& x() const { return operands[0]; }

  std::vector<ValueType> operator()(const Linear& op) const {
    const Shape& w = operands[1].shape;
    require_float(x(), "the input");
    require_float(operands[1], "the kernel");
    if (w.rank() != 2 || x().shape.rank() == 0 || !compatible(x().shape.back(), w[0])) {
      fail(fmt::format("an input of shape {} does not fit a kernel of shape {}",
                       x().shape.to_string(), w.to_string()));
    }
    Shape result = x().shape;
    result[result.rank() - 1] = w[1];
    check_epilogue(op.epilogue, operands, 2, result);
    return {{DType::kFloat32, result}};
  }

  std::vector<ValueType> operator()(const MatMul& op) const {
    require_float(x(), "the left matrix");
    require_float(operands[1], "the right matrix");
    const Shape& a = x().shape;
    const Shape& b = operands[1].shape;
    const auto cannot = [&] {
      fail(fmt::format("matrices of shapes {} and {} cannot be multiplied", a.to_string(),
                       b.to_string()));
    };
    if (a.rank() < 2 || b.rank() < 2) cannot();
    const std::int64_t m = a[a.rank() - (op.transpose_a ? 1 : 2)];
    const std::int64_t ka = a[a.rank() - (op.transpose_a ? 2 : 1)];
    const std::int64_t kb = b[b.rank() - (op.transpose_b ? 1 : 2)];
    const std::int64_t n = b[b.rank() - (op.transpose_b ? 2 : 1)];
    if (!compatible(ka, kb)) cannot();
    Shape result =
        broadcast(Shape(a.dims().first(a.rank() - 2)), Shape(b.dims().first(b.rank() - 2)));
    result.push_back(m);
    result.push_back(n);
    return {{DType::kFloat32, result}};
  }

  std::vector<ValueType> operator()(const Conv& op) const {
    const Shape& w = operands[1].shape;
    require_float(x(), "the input");
    require_float(operands[1], "the kernel");
    require_rank(x(), op.window.rank + 2, "the input");
    if (w.rank() != op.window.rank + 2) fail("the kernel's rank does not fit the input's");
    const std::int64_t in = x().shape.back();
    if (op.groups < 1 || op.groups > kMaxDimension ||
        (in != kUnknown && w[w.rank() - 2] != kUnknown && in != w[w.rank() - 2] * op.groups)) {
      fail(fmt::format("an input with {} channels does not fit a kernel of shape {} in {} groups",
                       in, w.to_string(), op.groups));
    }
    if (w.back() != kUnknown && w.back() % op.groups != 0) {
      fail(fmt::format("{} filters cannot be divided into {} groups", w.back(), op.groups));
    }
    const Shape result = window_result(op.window, x().shape, w.back());
    check_epilogue(op.epilogue, operands, 2, result);
    return {{DType::kFloat32, result}};
  }

  std::vector<ValueType> operator()(const DepthwiseConv& op) const {
    const Shape& w = operands[1].shape;
    require_float(x(), "the input");
    require_float(operands[1], "the kernel");
    require_rank(x(), op.window.rank + 2, "the input");
    if (w.rank() != op.window.rank + 2 || !compatible(w[w.rank() - 2], x().shape.back())) {
      fail(fmt::format("an input of shape {} does not fit a depthwise kernel of shape {}",
                       x().shape.to_string(), w.to_string()));
    }
    const std::int64_t channels =
        w[w.rank() - 2] == kUnknown || w.back() == kUnknown ? kUnknown : w[w.rank() - 2] * w.back();
    const Shape result = window_result(op.window, x().shape, channels);
    check_epilogue(op.epilogue, operands, 2, result);
    return {{DType::kFloat32, result}};
  }

  std::vector<ValueType> operator()(const ConvTranspose& op) const {
    const Shape& w = operands[1].shape;
    require_float(x(), "the input");
    require_float(operands[1], "the kernel");
    check_window(op.window);
    require_rank(x(), op.window.rank + 2, "the input");
    if (w.rank() != op.window.rank + 2 || !compatible(w[w.rank() - 2], x().shape.back())) {
      fail(fmt::format("an input of shape {} does not fit a transposed kernel of shape {}",
                       x().shape.to_string(), w.to_string()));
    }
    Shape result{x().shape[0]};
    for (std::size_t axis = 0; axis < op.window.rank; ++axis) {
      if (op.extent[axis] < 0 || op.crop[axis] < 0 || op.extent[axis] > kMaxDimension ||
          op.crop[axis] > kMaxDimension) {
        fail("a transposed window has an extent or crop out of range");
      }
      const std::int64_t size = x().shape[axis + 1];
      result.push_back(size == kUnknown ? kUnknown
                       : size == 0      ? 0
                                        : (size - 1) * op.window.strides[axis] + op.extent[axis]);
    }
    result.push_back(w.back());
    check_epilogue(op.epilogue, operands, 2, result);
    return {{DType::kFloat32, result}};
  }

  std::vector<ValueType> operator()(const Pool& op) const {
    require_float(x(), "the input");
    require_rank(x(), op.window.rank + 2, "the input");
    return {{DType::kFloat32, window_result(op.window, x().shape, x().shape.back())}};
  }

  std::vector<ValueType> operator()(const Reduce& op) const {
    const bool logic = op.kind == Reduce::Kind::kAny || op.kind == Reduce::Kind::kAll;
    if (logic && x().dtype != DType::kBool) fail("any and all need a bool input");
    for (std::size_t i = 0; i < op.axes.size(); ++i) {
      if (op.axes[i] < 0 || axis_of(op.axes[i], x().shape.rank()) >= x().shape.rank() ||
          (i > 0 && op.axes[i - 1] >= op.axes[i])) {
        fail("the axes of a reduction must ascend");
      }
    }
    Shape result;
    for (std::size_t i = 0; i < x().shape.rank(); ++i) {
      if (std::ranges::find(op.axes, static_cast<std::int64_t>(i)) == op.axes.end()) {
        result.push_back(x().shape[i]);
      } else if (op.keep_dims) {
        result.push_back(1);
      }
    }
    return {{x().dtype, result}};
  }

  std::vector<ValueType> operator()(const Unary&) const {
    require_float(x(), "the input");
    return {x()};
  }

  std::vector<ValueType> operator()(const Binary& op) const {
    const ValueType& b = operands[1];
    if (x().dtype != b.dtype) {
      fail(fmt::format("{} and {} tensors cannot be combined", dtype_name(x().dtype),
                       dtype_name(b.dtype)));
    }
    using Kind = Binary::Kind;
    if (op.kind == Kind::kArctan2 || op.kind == Kind::kSlope) require_float(x(), "the input");
    if (op.kind >= Kind::kBitAnd && op.kind <= Kind::kShiftRight && !is_integer(x().dtype)) {
      fail(fmt::format("{} tensors have no bits to combine", dtype_name(x().dtype)));
    }
    if (op.kind >= Binary::Kind::kAnd && x().dtype != DType::kBool) {
      fail(fmt::format("and and or need bool tensors, not {}", dtype_name(x().dtype)));
    }
    const bool logic = op.kind >= Binary::Kind::kEqual;
    return {{logic ? DType::kBool : x().dtype, broadcast(x().shape, b.shape)}};
  }

  std::vector<ValueType> operator()(const Not&) const {
    if (x().dtype != DType::kBool) {
      fail(fmt::format("not needs a bool tensor, not {}", dtype_name(x().dtype)));
    }
    return {x()};
  }

  std::vector<ValueType> operator()(const Select&) const {
    if (x().dtype != DType::kBool || operands[1].dtype != operands[2].dtype) {
      fail(fmt::format("a choice by {} between {} and {} tensors is not possible",
                       dtype_name(x().dtype), dtype_name(operands[1].dtype),
                       dtype_name(operands[2].dtype)));
    }
    const Shape both = broadcast(operands[1].shape, operands[2].shape);
    return {{operands[1].dtype, broadcast(x().shape, both)}};
  }

  std::vector<ValueType> operator()(const Affine&) const {
    require_float(x(), "the input");
    require_channel_vector(operands[1]);
    require_channel_vector(operands[2]);
    return {x()};
  }

  void require_channel_vector(const ValueType& vector) const {
    require_float(vector, "a vector over the channels");
    if (vector.shape.rank() != 1 || x().shape.rank() == 0 ||
        !compatible(vector.shape[0], x().shape.back())) {
      fail(fmt::format("a vector of shape {} does not fit the channels of an input of shape {}",
                       vector.shape.to_string(), x().shape.to_string()));
    }
  }

  std::vector<ValueType> operator()(const Chain& op) const {
    require_float(x(), "the input");
    std::size_t next = 1;
    for (const Chain::Step& step : op.steps) {
      if (step.kind == Chain::Step::Kind::kBinary) {
        const ValueType& operand = operands[next];
        require_float(operand, "an operand of a chain");
        if (step.binary >= Binary::Kind::kEqual) fail("a step of a chain must give floats");
        if (operand.shape.rank() != 0 && !compatible(operand.shape, x().shape)) {
          require_channel_vector(operand);
        }
      } else if (step.kind == Chain::Step::Kind::kAffine) {
        require_channel_vector(operands[next]);
        require_channel_vector(operands[next + 1]);
      }
      next += operand_count(step);
    }
    return {x()};
  }

  std::vector<ValueType> operator()(const Softmax& op) const {
    require_float(x(), "the input");
    axis_of(op.axis, x().shape.rank());
    return {x()};
  }
  std::vector<ValueType> operator()(const Sparsemax&) const {
    require_float(x(), "the input");
    return {x()};
  }

  std::vector<ValueType> operator()(const LayerNorm& op) const {
    require_float(x(), "the input");
    if (op.axes == 0 || op.axes > x().shape.rank()) fail("too many axes are normalised");
    std::size_t next = 1;
    for (const bool present : {op.gamma, op.beta}) {
      if (!present) continue;
      const Shape& vector = operands[next++].shape;
      bool fits = vector.rank() == op.axes;
      for (std::size_t i = 0; fits && i < op.axes; ++i) {
        fits = compatible(vector[i], x().shape[x().shape.rank() - op.axes + i]);
      }
      if (!fits) {
        fail(fmt::format("weights of shape {} do not fit an input of shape {}", vector.to_string(),
                         x().shape.to_string()));
      }
    }
    return {x()};
  }

  std::vector<ValueType> operator()(const L2Normalize& op) const {
    require_float(x(), "the input");
    axis_of(op.axis, x().shape.rank());
    return {x()};
  }

  std::vector<ValueType> operator()(const Gather&) const {
    const Shape& table = operands[1].shape;
    if (x().dtype == DType::kString) fail("strings are no ids");
    if (table.rank() != 2) {
      fail(fmt::format("a table needs two dimensions, but has the shape {}", table.to_string()));
    }
    Shape result = x().shape;
    result.push_back(table[1]);
    return {{operands[1].dtype, result}};
  }

  std::vector<ValueType> operator()(const Transpose& op) const {
    const std::size_t rank = x().shape.rank();
    std::vector<bool> seen(rank);
    Shape result;
    for (const std::int64_t axis : op.permutation) {
      const std::size_t a = axis_of(axis, rank);
      if (seen[a]) fail("an axis appears twice in a permutation");
      seen[a] = true;
      result.push_back(x().shape[a]);
    }
    if (op.permutation.size() != rank) {
      fail(fmt::format("a permutation of {} axes does not fit the shape {}", op.permutation.size(),
                       x().shape.to_string()));
    }
    return {{x().dtype, result}};
  }

  std::vector<ValueType> operator()(const Reshape& op) const;
  std::vector<ValueType> operator()(const Concat& op) const;
  std::vector<ValueType> operator()(const Slice& op) const;

  std::vector<ValueType> operator()(const Pad& op) const {
    Shape result = x().shape;
    if (op.before.size() != result.rank() || op.after.size() != result.rank()) {
      fail("a padding does not fit the input's rank");
    }
    for (std::size_t i = 0; i < result.rank(); ++i) {
      if (op.before[i] < 0 || op.after[i] < 0 || op.before[i] > kMaxDimension ||
          op.after[i] > kMaxDimension) {
        fail("a padding is negative or too large");
      }
      if (result[i] != kUnknown) result[i] += op.before[i] + op.after[i];
    }
    return {{x().dtype, result}};
  }

  std::vector<ValueType> operator()(const Tile& op) const {
    Shape result = x().shape;
    const std::size_t axis = axis_of(op.axis, result.rank());
    if (op.times < 0) fail("a tensor cannot be repeated a negative number of times");
    if (op.times > kMaxDimension) fail("a repeated tensor is too large");
    if (result[axis] != kUnknown) result[axis] *= op.times;
    return {{x().dtype, result}};
  }

  std::vector<ValueType> operator()(const Resample& op) const {
    Shape result = x().shape;
    const std::size_t axis = axis_of(op.axis, result.rank());
    if (op.kind != Resample::Kind::kNearest) require_float(x(), "the input");
    if (op.size < 0 || op.size > kMaxDimension || op.factor < 1 || op.factor > kMaxDimension) {
      fail("a resampled axis has a size out of range");
    }
    const std::int64_t from = result[axis];
    if (op.size != 0) {
      if (from == 0) fail(fmt::format("no elements cannot be resampled to {}", op.size));
      result[axis] = op.size;
    } else if (from != kUnknown) {
      result[axis] = from * op.factor;
    }
    return {{x().dtype, result}};
  }

  std::vector<ValueType> operator()(const ArgReduce& op) const {
    Shape result = x().shape;
    const std::size_t axis = axis_of(op.axis, result.rank());
    if (result[axis] == 0) fail("there is no largest or smallest of no elements");
    result.erase(axis);
    return {{DType::kInt32, result}};
  }
  std::vector<ValueType> operator()(const Cumulate& op) const {
    axis_of(op.axis, x().shape.rank());
    if (x().dtype == DType::kBool) fail("sums and products need numbers, not bools");
    return {x()};
  }
  std::vector<ValueType> operator()(const ArgSort&) const {
    axis_of(-1, x().shape.rank());
    return {{DType::kInt32, x().shape}};
  }
  std::vector<ValueType> operator()(const TakeAlong&) const {
    const ValueType& ids = operands[1];
    Shape result = x().shape;
    const bool fits = result.rank() != 0 && ids.shape.rank() == result.rank();
    if (ids.dtype != DType::kInt32 && ids.dtype != DType::kInt64) {
      fail(fmt::format("places are integers, not {}", dtype_name(ids.dtype)));
    }
    if (fits) result[result.rank() - 1] = ids.shape.back();
    if (!fits || !compatible(result, ids.shape)) {
      fail(fmt::format("places of shape {} do not fit a tensor of shape {}", ids.shape.to_string(),
                       x().shape.to_string()));
    }
    return {{x().dtype, result}};
  }
  std::vector<ValueType> operator()(const Cast& op) const { return {{op.to, x().shape}}; }
  std::vector<ValueType> operator()(const Lookup& op) const {
    require_key(x());
    require_table(operands[1]);
    require_buckets(op.buckets, 0);
    if (op.first < 0) fail("a lookup has a first bucket below 0");
    return {{DType::kInt64, x().shape}};
  }
  std::vector<ValueType> operator()(const Hash& op) const {
    require_key(x());
    require_buckets(op.buckets, 1);
    return {{DType::kInt64, x().shape}};
  }
  std::vector<ValueType> operator()(const CrossHash& op) const {
    require_buckets(op.buckets, 1);
    Shape result = x().shape;
    for (const ValueType& feature : operands) {
      require_key(feature);
      if (!compatible(feature.shape, result)) {
        fail(fmt::format("features of shapes {} and {} cannot be crossed", result.to_string(),
                         feature.shape.to_string()));
      }
      for (std::size_t i = 0; i < result.rank(); ++i) {
        if (result[i] == kUnknown) result[i] = feature.shape[i];
      }
    }
    return {{DType::kInt64, result}};
  }
  std::vector<ValueType> operator()(const TokenIds& op) const {
    require_texts(op.tokens);
    require_table(operands[1]);
    if (op.length < 1) fail("texts are given no tokens");
    return {{DType::kInt64, {x().shape[0], op.length}}};
  }
  std::vector<ValueType> operator()(const TokenCounts& op) const {
    require_texts(op.tokens);
    require_table(operands[1]);
    if (op.depth < 1) fail("tokens are counted by no values");
    return {{DType::kFloat32, {x().shape[0], op.depth}}};
  }

  static void require_key(const ValueType& key) {
    if (key.dtype != DType::kString && key.dtype != DType::kInt64) {
      fail(fmt::format("strings or int64 are looked up and hashed, not {}", dtype_name(key.dtype)));
    }
  }
  static void require_table(const ValueType& table) {
    if (table.dtype != DType::kUInt8 || table.shape.rank() != 1) fail("a lookup needs a table");
  }
  static void require_buckets(std::int64_t buckets, std::int64_t least) {
    if (buckets < least) fail(fmt::format("{} is no number of buckets", buckets));
  }
  void require_texts(const Tokens& tokens) const {
    require_rank(x(), 1, "a tensor of texts");
    if (x().dtype != DType::kString) {
      fail(fmt::format("texts are strings, not {}", dtype_name(x().dtype)));
    }
    for (const std::int64_t width : tokens.widths) {
      if (width < 1 || width > Tokens::kMostWidth) {
        fail(fmt::format("an n-gram has a width of {}", width));
      }
    }
  }

  std::vector<ValueType> operator()(const Recurrent& op) const;
  std::vector<ValueType> operator()(const ConvLstm& op) const;
  std::vector<ValueType> operator()(const Attention& op) const;
};

std::vector<ValueType> Infer::operator()(const Reshape& op) const {
  const Shape& from = x().shape;
  // Copied dimensions cancel out of the count, known or not.
  std::vector<bool> copied(from.rank());
  std::int64_t known = 1;
  bool known_all = true;
  std::ptrdiff_t inferred = -1;
  Shape result;
  for (const std::int64_t dim : op.dims) {
    if (dim == Reshape::kInfer) {
      if (inferred >= 0) fail("a reshape leaves more than one dimension open");
      inferred = static_cast<std::ptrdiff_t>(result.rank());
      result.push_back(kUnknown);
    } else if (const auto axis = Reshape::copied(dim)) {
      if (*axis >= from.rank()) fail("a reshape copies a dimension that the input does not have");
      copied[*axis] = true;
      result.push_back(from[*axis]);
    } else if (const auto lent = Reshape::lent(dim)) {
      const Shape& like = operands[1].shape;
      if (*lent >= like.rank()) fail("a reshape takes a dimension that its model does not have");
      result.push_back(like[*lent]);
      if (like[*lent] == kUnknown) {
        known_all = false;
      } else if (__builtin_mul_overflow(known, like[*lent], &known)) {
        fail("a shape is too large");
      }
    } else {
      if (__builtin_mul_overflow(known, dim, &known)) fail("a shape is too large");
      result.push_back(dim);
    }
  }
  std::int64_t rest = 1;
  bool rest_known = true;
  for (std::size_t i = 0; i < from.rank(); ++i) {
    if (copied[i]) continue;
    if (from[i] == kUnknown) {
      rest_known = false;
    } else if (__builtin_mul_overflow(rest, from[i], &rest)) {
      fail("a shape is too large");
    }
  }
  if (!rest_known || !known_all) return {{x().dtype, result}};
  if (inferred >= 0) {
    if (known == 0 ? rest != 0 : rest % known != 0) {
      fail(fmt::format("an input of shape {} cannot be reshaped to {}", from.to_string(),
                       result.to_string()));
    }
    result[static_cast<std::size_t>(inferred)] = known == 0 ? 0 : rest / known;
  } else if (rest != known) {
    fail(fmt::format("an input of shape {} cannot be reshaped to {}", from.to_string(),
                     result.to_string()));
  }
  return {{x().dtype, result}};
}

std::vector<ValueType> Infer::operator()(const Concat& op) const {
  ValueType result = x();
  const std::size_t axis = axis_of(op.axis, result.shape.rank());
  for (std::size_t i = 1; i < operands.size(); ++i) {
    const ValueType& next = operands[i];
    bool fits = next.dtype == result.dtype && next.shape.rank() == result.shape.rank();
    for (std::size_t d = 0; fits && d < result.shape.rank(); ++d) {
      if (d == axis) {
        result.shape[d] = result.shape[d] == kUnknown || next.shape[d] == kUnknown
                              ? kUnknown
                              : result.shape[d] + next.shape[d];
      } else {
        fits = compatible(result.shape[d], next.shape[d]);
        if (result.shape[d] == kUnknown) result.shape[d] = next.shape[d];
      }
    }
    if (!fits) {
      fail(fmt::format("{} {} and {} {} cannot be concatenated along axis {}",
                       dtype_name(x().dtype), x().shape.to_string(), dtype_name(next.dtype),
                       next.shape.to_string(), op.axis));
    }
  }
  return {result};
}

std::vector<ValueType> Infer::operator()(const Slice& op) const {
  ValueType result = x();
  const std::size_t axis = axis_of(op.axis, result.shape.rank());
  const std::int64_t size = result.shape[axis];
  if (op.step == 0 || std::abs(op.step) > kMaxDimension) fail("a slice has a step out of range");
  if (size == kUnknown) {
    if (op.begin || op.end || std::abs(op.step) != 1) result.shape[axis] = kUnknown;
    return {result};
  }
  result.shape[axis] = slice_axis(op, size).count;
  return {result};
}

std::vector<ValueType> Infer::operator()(const Recurrent& op) const {
  require_float(x(), "the input");
  require_rank(x(), 3, "the input of a recurrent layer");
  const Shape& kernel = operands[1].shape;
  const Shape& recurrent = operands[2].shape;
  const std::int64_t gates = op.cell == Recurrent::Cell::kLstm     ? 4
                             : op.cell == Recurrent::Cell::kSimple ? 1
                                                                   : 3;
  const std::int64_t units = recurrent.rank() == 2 ? recurrent[0] : kUnknown;
  if (kernel.rank() != 2 || recurrent.rank() != 2 || recurrent[1] != gates * units ||
      kernel[1] != gates * units || !compatible(kernel[0], x().shape[2])) {
    fail(fmt::format("kernels of shapes {} and {} do not fit an input of shape {}",
                     kernel.to_string(), recurrent.to_string(), x().shape.to_string()));
  }
  std::size_t next = 3;
  if (op.bias) {
    const Shape& bias = operands[next++].shape;
    const bool two = op.cell == Recurrent::Cell::kGruResetAfter;
    if (!compatible(bias, two ? Shape{2, kernel[1]} : Shape{kernel[1]})) {
      fail(fmt::format("a bias of shape {} does not fit a kernel of shape {}", bias.to_string(),
                       kernel.to_string()));
    }
  }
  if (op.mask) {
    const ValueType& mask = operands[next++];
    if (mask.dtype != DType::kBool || !compatible(mask.shape, Shape{x().shape[0], x().shape[1]})) {
      fail(fmt::format("a mask must be bool of shape (batch, steps), not {} {}",
                       dtype_name(mask.dtype), mask.shape.to_string()));
    }
  }
  if (op.initial_state) {
    const std::size_t states = op.cell == Recurrent::Cell::kLstm ? 2 : 1;
    for (std::size_t i = 0; i < states; ++i) {
      const Shape& state = operands[next++].shape;
      if (!compatible(state, Shape{x().shape[0], units})) {
        fail(fmt::format("an initial state of shape {} does not fit {} units", state.to_string(),
                         units));
      }
    }
  }
  const Shape state{x().shape[0], units};
  const Shape y = op.sequences ? Shape{x().shape[0], x().shape[1], units} : state;
  std::vector<ValueType> results{{DType::kFloat32, y}, {DType::kFloat32, state}};
  if (op.cell == Recurrent::Cell::kLstm) results.push_back({DType::kFloat32, state});
  return results;
}

std::vector<ValueType> Infer::operator()(const ConvLstm& op) const {
  require_float(x(), "the input");
  const Shape& in = x().shape;
  const Shape& kernel = operands[1].shape;
  const std::size_t rank = in.rank() < 4 ? 0 : in.rank() - 3;
  const bool fits = rank >= 1 && rank <= 3 && kernel.rank() == rank + 2 && kernel.is_static() &&
                    kernel.back() == 4 * kernel[rank] && compatible(in.back(), kernel.back());
  if (!fits) {
    fail(fmt::format("a kernel of shape {} does not fit gates of shape {}", kernel.to_string(),
                     in.to_string()));
  }
  Shape state{in[0]};
  for (std::size_t i = 2; i < rank + 2; ++i) state.push_back(in[i]);
  state.push_back(kernel[rank]);
  std::size_t next = 2;
  if (op.mask) {
    const ValueType& mask = operands[next++];
    if (mask.dtype != DType::kBool || !compatible(mask.shape, Shape{in[0], in[1]})) {
      fail(fmt::format("a mask must be bool of shape (batch, steps), not {} {}",
                       dtype_name(mask.dtype), mask.shape.to_string()));
    }
  }
  for (; next < operands.size(); ++next) {
    require_float(operands[next], "an initial state");
    if (!compatible(operands[next].shape, state)) {
      fail(fmt::format("an initial state of shape {} does not fit a state of shape {}",
                       operands[next].shape.to_string(), state.to_string()));
    }
  }
  Shape y = state;
  if (op.sequences) y.insert(1, in[1]);
  return {{DType::kFloat32, y}, {DType::kFloat32, state}, {DType::kFloat32, state}};
}

std::vector<ValueType> Infer::operator()(const Attention& op) const {
  static constexpr std::array<std::string_view, 3> kNames{"the query", "the key", "the value"};
  for (std::size_t i = 0; i < 3; ++i) {
    require_float(operands[i], kNames[i]);
    require_rank(operands[i], 3, kNames[i]);
  }
  const Shape& q = x().shape;
  const Shape& k = operands[1].shape;
  const Shape& v = operands[2].shape;
  if (op.heads < 1 || op.key_heads < 1 || op.heads % op.key_heads != 0 || op.window < 0 ||
      op.heads > kMaxDimension) {
    fail(fmt::format("{} heads cannot read {} heads of keys", op.heads, op.key_heads));
  }
  const auto each = [&](std::int64_t channels, std::int64_t heads) {
    if (channels != kUnknown && channels % heads != 0) {
      fail(fmt::format("{} channels cannot be divided into {} heads", channels, heads));
    }
    return channels == kUnknown ? kUnknown : channels / heads;
  };
  const std::int64_t width = each(v[2], op.key_heads);
  if (!compatible(q[0], k[0]) || !compatible(k[0], v[0]) || !compatible(q[0], v[0]) ||
      !compatible(k[1], v[1]) || !compatible(each(q[2], op.heads), each(k[2], op.key_heads))) {
    fail(fmt::format("a query, a key and a value of shapes {}, {} and {} do not fit together",
                     q.to_string(), k.to_string(), v.to_string()));
  }
  const Shape scores{q[0], op.heads, q[1], k[1]};
  if (op.mask) {
    const ValueType& mask = operands[3];
    bool fits = mask.dtype == DType::kBool && mask.shape.rank() == 4;
    for (std::size_t i = 0; fits && i < 4; ++i) {
      fits = mask.shape[i] == 1 || compatible(mask.shape[i], scores[i]);
    }
    if (!fits) {
      fail(fmt::format("a mask that is {} of shape {} does not fit scores of shape {}",
                       dtype_name(mask.dtype), mask.shape.to_string(), scores.to_string()));
    }
  }
  std::vector<ValueType> results{
      {DType::kFloat32, {q[0], q[1], width == kUnknown ? kUnknown : width * op.heads}}};
  if (op.weights) results.push_back({DType::kFloat32, scores});
  return results;
}

double count(const Shape& shape) {
  double product = 1;
  for (const std::int64_t dim : shape) product *= dim == kUnknown ? 1.0 : static_cast<double>(dim);
  return product;
}

}  // namespace

namespace {

// Ops that only move elements, which may therefore be strings, and those that are about strings.
struct TakesStrings {
  bool operator()(const Transpose&) const { return true; }
  bool operator()(const Reshape&) const { return true; }
  bool operator()(const Concat&) const { return true; }
  bool operator()(const Slice&) const { return true; }
  bool operator()(const Tile&) const { return true; }
  bool operator()(const Select&) const { return true; }
  bool operator()(const Gather&) const { return true; }
  bool operator()(const Lookup&) const { return true; }
  bool operator()(const Hash&) const { return true; }
  bool operator()(const CrossHash&) const { return true; }
  bool operator()(const TokenIds&) const { return true; }
  bool operator()(const TokenCounts&) const { return true; }
  template <typename Other>
  bool operator()(const Other&) const {
    return false;
  }
};

}  // namespace

std::vector<ValueType> infer(const Op& op, const std::vector<ValueType>& operands) {
  const std::size_t needed = std::visit(OperandCount{}, op);
  const bool many = std::holds_alternative<Concat>(op) || std::holds_alternative<CrossHash>(op);
  if (many ? operands.empty() : operands.size() != needed) {
    fail(fmt::format("{} takes {} operands, not {}", op_name(op), needed, operands.size()));
  }
  const auto require_bounded = [](const ValueType& type) {
    for (const std::int64_t dim : type.shape) {
      if (dim > kMaxDimension) {
        fail(fmt::format("the shape {} is too large", type.shape.to_string()));
      }
    }
  };
  for (const ValueType& operand : operands) require_bounded(operand);
  std::vector<ValueType> results = std::visit(Infer{operands}, op);
  for (const ValueType& result : results) require_bounded(result);
  const auto is_string = [](const ValueType& type) { return type.dtype == DType::kString; };
  if ((std::ranges::any_of(operands, is_string) || std::ranges::any_of(results, is_string)) &&
      !std::visit(TakesStrings{}, op)) {
    fail(fmt::format("{} cannot be computed on strings", op_name(op)));
  }
  return results;
}

double flops(const Op& op, const std::vector<ValueType>& operands,
             const std::vector<ValueType>& results) {
  const double result = results.empty() ? 0 : count(results[0].shape);
  if (std::holds_alternative<Linear>(op)) {
    return 2 * result * count(Shape{operands[1].shape[0]});
  }
  if (std::holds_alternative<Conv>(op) || std::holds_alternative<DepthwiseConv>(op)) {
    const Shape& w = operands[1].shape;
    const double per_output =
        std::holds_alternative<Conv>(op)
            ? count(w) / count(Shape{w.back()})
            : count(w) / (count(Shape{w.back()}) * count(Shape{w[w.rank() - 2]}));
    return 2 * result * per_output;
  }
  if (std::holds_alternative<ConvTranspose>(op)) {
    const Shape& x = operands[0].shape;
    return 2 * count(x) / count(Shape{x.back()}) * count(operands[1].shape);
  }
  if (const auto* matmul = std::get_if<MatMul>(&op)) {
    const Shape& a = operands[0].shape;
    return 2 * result * count(Shape{a[a.rank() - (matmul->transpose_a ? 2 : 1)]});
  }
  if (std::holds_alternative<Recurrent>(op)) {
    const double steps = count(Shape{operands[0].shape[0]}) * count(Shape{operands[0].shape[1]});
    return 2 * steps * (count(operands[1].shape) + count(operands[2].shape));
  }
  if (std::holds_alternative<ConvLstm>(op)) {
    const Shape& kernel = operands[1].shape;
    return 2 * count(operands[0].shape) * count(kernel) / count(Shape{kernel.back()});
  }
  if (const auto* attention = std::get_if<Attention>(&op)) {
    const Shape& q = operands[0].shape;
    const double keys = count(Shape{operands[1].shape[1]});
    const double heads = static_cast<double>(attention->heads);
    return keys * (2 * count(q) + 2 * result + 5 * heads * count(Shape{q[0], q[1]}));
  }
  if (const auto* pool = std::get_if<Pool>(&op)) {
    double cells = 1;
    for (std::size_t i = 0; i < pool->window.rank; ++i) {
      cells *= static_cast<double>(pool->window.size[i]);
    }
    return result * cells;
  }
  if (std::holds_alternative<Reduce>(op)) return count(operands[0].shape);
  if (std::holds_alternative<Softmax>(op) || std::holds_alternative<LayerNorm>(op) ||
      std::holds_alternative<Sparsemax>(op) || std::holds_alternative<L2Normalize>(op)) {
    return 5 * result;
  }
  if (std::holds_alternative<Affine>(op)) return 2 * result;
  if (const auto* chain = std::get_if<Chain>(&op)) {
    return result * static_cast<double>(chain->steps.size());
  }
  const bool moves_only = std::holds_alternative<Reshape>(op) ||
                          std::holds_alternative<Transpose>(op) ||
                          std::holds_alternative<Concat>(op) || std::holds_alternative<Slice>(op) ||
                          std::holds_alternative<Pad>(op) || std::holds_alternative<Tile>(op) ||
                          std::holds_alternative<Gather>(op) || std::holds_alternative<Cast>(op) ||
                          std::holds_alternative<TakeAlong>(op);
  if (const auto* resample = std::get_if<Resample>(&op)) {
    if (resample->kind == Resample::Kind::kNearest) return 0;
    static constexpr std::array<double, 7> kTaps{0, 2, 4, 6, 10, 1, 1};
    return 2 * result * kTaps[static_cast<std::size_t>(resample->kind)];
  }
  return moves_only ? 0 : result;
}

}  // namespace kerf::program
