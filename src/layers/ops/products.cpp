#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <map>
#include <string>

#include "layers/operation.h"

// Products of matrices and tensors. All are contractions of two operands whose axes bear labels.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reduce;
using program::Reshape;

using Labels = std::vector<int>;

bool holds(const Labels& labels, int label) {
  return std::ranges::find(labels, label) != labels.end();
}

std::size_t place(const Labels& labels, int label) {
  return static_cast<std::size_t>(std::ranges::find(labels, label) - labels.begin());
}

// A tensor with a label for each axis.
struct Labelled {
  ValueId value = 0;
  Labels labels;
};

class Contraction {
 public:
  explicit Contraction(Operation& op) : op_(op) {}

  // x with its axes in the order of `to`, which has the same labels.
  Labelled ordered(const Labelled& x, const Labels& to) {
    std::vector<std::int64_t> permutation;
    for (const int label : to) {
      permutation.push_back(static_cast<std::int64_t>(place(x.labels, label)));
    }
    return {.value = op_.transpose(std::move(permutation), x.value), .labels = to};
  }

  // x summed over the axes of which `kept` has no label.
  Labelled summed(const Labelled& x, const Labels& kept) {
    std::vector<std::int64_t> axes;
    Labels rest;
    for (std::size_t i = 0; i < x.labels.size(); ++i) {
      if (holds(kept, x.labels[i])) {
        rest.push_back(x.labels[i]);
      } else {
        axes.push_back(static_cast<std::int64_t>(i));
      }
    }
    if (axes.empty()) return x;
    return {.value = op_.reduce(Reduce::Kind::kSum, std::move(axes), false, x.value),
            .labels = std::move(rest)};
  }

  // The product of a and b, summed over the labels that are not kept.
  Labelled multiply(Labelled a, Labelled b, const Labels& kept) {
    const auto with_other = [&](const Labels& other) {
      Labels all = kept;
      all.insert(all.end(), other.begin(), other.end());
      return all;
    };
    a = summed(a, with_other(b.labels));
    b = summed(b, with_other(a.labels));
    Labels batch;
    Labels contracted;
    Labels rows;
    Labels columns;
    for (const int label : a.labels) {
      Labels& group = !holds(b.labels, label) ? rows : holds(kept, label) ? batch : contracted;
      group.push_back(label);
    }
    for (const int label : b.labels) {
      if (!holds(a.labels, label)) columns.push_back(label);
    }
    Labels result = batch;
    result.insert(result.end(), rows.begin(), rows.end());
    result.insert(result.end(), columns.begin(), columns.end());
    if (result.size() > Shape::kMaxRank) {
      op_.unsupported("subscripts", "the result has too many dimensions");
    }
    if (contracted.empty()) return elementwise(a, b, result);

    const Labelled left = ordered(a, joined(batch, rows, contracted));
    const Labelled right = ordered(b, joined(batch, contracted, columns));
    ValueId x = flattened(left, batch.size(), {rows.size(), contracted.size()});
    ValueId w = flattened(right, batch.size(), {contracted.size(), columns.size()});
    ValueId y = 0;
    if (batch.empty() && op_.ops().peek().is_constant(w)) {
      y = op_.ops().append(program::Linear{}, {x, w});
    } else {
      y = op_.ops().append(program::MatMul{}, {x, w});
    }
    // (batch..., M, N) to (batch..., rows..., columns...): first the rows, then the columns.
    y = unflattened(y, batch.size(), rows.size(), left, batch.size(), 1);
    y = unflattened(y, batch.size() + rows.size(), columns.size(), right,
                    batch.size() + contracted.size(), 0);
    return {.value = y, .labels = std::move(result)};
  }

 private:
  static Labels joined(const Labels& a, const Labels& b, const Labels& c) {
    Labels all = a;
    all.insert(all.end(), b.begin(), b.end());
    all.insert(all.end(), c.begin(), c.end());
    return all;
  }

  // Nothing is summed: axes that an operand lacks have the size 1.
  Labelled elementwise(const Labelled& a, const Labelled& b, const Labels& result) {
    const auto spread = [&](const Labelled& x) {
      Labels own;
      for (const int label : result) {
        if (holds(x.labels, label)) own.push_back(label);
      }
      const Labelled sorted = ordered(x, own);
      std::vector<std::int64_t> dims;
      std::size_t next = 0;
      for (const int label : result) dims.push_back(holds(own, label) ? Reshape::copy(next++) : 1);
      return own.size() == result.size() ? sorted.value
                                         : op_.reshape(std::move(dims), sorted.value);
    };
    return {.value = op_.binary(Binary::Kind::kMultiply, spread(a), spread(b)), .labels = result};
  }

  // The axes behind the batch as two, of `sizes` axes each.
  ValueId flattened(const Labelled& x, std::size_t batch, std::array<std::size_t, 2> sizes) {
    if (sizes[0] == 1 && sizes[1] == 1) return x.value;
    std::vector<std::int64_t> dims;
    for (std::size_t i = 0; i < batch; ++i) dims.push_back(Reshape::copy(i));
    std::size_t next = batch;
    bool open = false;
    for (const std::size_t size : sizes) {
      if (size == 1) {
        dims.push_back(Reshape::copy(next++));
        continue;
      }
      std::int64_t product = 1;
      bool known = true;
      for (std::size_t i = 0; i < size; ++i) {
        const std::int64_t dim = op_.shape(x.value)[next++];
        known = known && dim != Shape::kUnknown;
        if (known && __builtin_mul_overflow(product, dim, &product)) {
          op_.invalid("subscripts", "a dimension is too large");
        }
      }
      if (!known && open) {
        op_.unsupported("subscripts", "too many sizes are known only when a request comes");
      }
      open = open || !known;
      dims.push_back(known ? product : Reshape::kInfer);
    }
    return op_.reshape(std::move(dims), x.value);
  }

  // Axis `at` of y as the `count` axes of `like` from `from` on. `behind` axes follow it.
  ValueId unflattened(ValueId y, std::size_t at, std::size_t count, const Labelled& like,
                      std::size_t from, std::size_t behind) {
    if (count == 1) return y;
    std::vector<std::int64_t> dims;
    for (std::size_t i = 0; i < at; ++i) dims.push_back(Reshape::copy(i));
    for (std::size_t i = 0; i < count; ++i) {
      const std::int64_t dim = op_.shape(like.value)[from + i];
      dims.push_back(dim == Shape::kUnknown ? Reshape::like(from + i) : dim);
    }
    for (std::size_t i = 0; i < behind; ++i) dims.push_back(Reshape::copy(at + 1 + i));
    return op_.reshape_like(std::move(dims), y, like.value);
  }

  Operation& op_;
};

// The operands as floats: kerf multiplies no others.
ValueId factor(Operation& op, ValueId x) {
  if (op.dtype(x) != DType::kFloat32) {
    op.unsupported("x1", fmt::format("a product of {} tensors", dtype_name(op.dtype(x))));
  }
  return x;
}

// The pair of operands, of which one may be a literal.
std::pair<ValueId, ValueId> factors(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  return {factor(op, x[0]), factor(op, x[1])};
}

void lower_matmul(Operation& op) {
  auto [a, b] = factors(op);
  if (op.rank(a) == 0 || op.rank(b) == 0) op.invalid("x1", "is a number, not a matrix");
  // Vectors are a row on the left and a column on the right, and leave no axis.
  const bool row = op.rank(a) == 1;
  const bool column = op.rank(b) == 1;
  if (row) a = op.reshape({1, Reshape::copy(0)}, a);
  if (column) b = op.reshape({Reshape::copy(0), 1}, b);
  const bool constant = op.rank(b) == 2 && op.ops().peek().is_constant(b);
  ValueId y = constant ? op.ops().append(program::Linear{}, {a, b})
                       : op.ops().append(program::MatMul{}, {a, b});
  if (row || column) {
    std::vector<std::int64_t> dims;
    const std::size_t rank = op.rank(y);
    for (std::size_t i = 0; i < rank; ++i) {
      if ((row && i + 2 == rank) || (column && i + 1 == rank)) continue;
      dims.push_back(Reshape::copy(i));
    }
    y = op.reshape(std::move(dims), y);
  }
  op.output(y);
}

// Labels 0, 1, ... for the axes of a tensor.
Labels numbered(std::size_t count, int from) {
  Labels labels(count);
  for (std::size_t i = 0; i < count; ++i) labels[i] = from + static_cast<int>(i);
  return labels;
}

// a and b contracted over axes of equal place in the two lists.
void contract(Operation& op, ValueId a, ValueId b, const std::vector<std::size_t>& axes_a,
              const std::vector<std::size_t>& axes_b) {
  Labelled left{.value = a, .labels = numbered(op.rank(a), 0)};
  Labelled right{.value = b, .labels = numbered(op.rank(b), 100)};
  for (std::size_t i = 0; i < axes_a.size(); ++i) right.labels[axes_b[i]] = left.labels[axes_a[i]];
  Labels kept;
  for (const int label : left.labels) {
    if (!holds(right.labels, label)) kept.push_back(label);
  }
  for (const int label : right.labels) {
    if (!holds(left.labels, label)) kept.push_back(label);
  }
  Contraction contraction(op);
  op.output(contraction.ordered(contraction.multiply(left, right, kept), kept).value);
}

// The last axis of a with the last but one of b.
void lower_dot(Operation& op) {
  const auto [a, b] = factors(op);
  if (op.rank(a) == 0 || op.rank(b) == 0) {
    op.output(op.binary(Binary::Kind::kMultiply, a, b));
    return;
  }
  contract(op, a, b, {op.rank(a) - 1}, {op.rank(b) == 1 ? 0 : op.rank(b) - 2});
}

void lower_outer(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  const ValueId a = op.reshape({Reshape::kInfer, 1}, x[0]);
  const ValueId b = op.reshape({1, Reshape::kInfer}, x[1]);
  op.output(op.binary(Binary::Kind::kMultiply, a, b));
}

void lower_tensordot(Operation& op) {
  const auto [a, b] = factors(op);
  std::vector<std::size_t> axes_a;
  std::vector<std::size_t> axes_b;
  const boost::json::value* axes = op.arguments().find("axes");
  if (axes == nullptr || axes->is_int64()) {
    const std::int64_t count = op.arguments().integer("axes", 2);
    const auto most = static_cast<std::int64_t>(std::min(op.rank(a), op.rank(b)));
    if (count < 0 || count > most) op.invalid("axes", fmt::format("is {}", count));
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      axes_a.push_back(op.rank(a) - static_cast<std::size_t>(count) + i);
      axes_b.push_back(i);
    }
  } else {
    const boost::json::array* pair = axes->if_array();
    if (pair == nullptr || pair->size() != 2) op.invalid("axes", "is no pair of lists");
    const auto read = [&](const boost::json::value& value, std::size_t rank) {
      std::vector<std::size_t> result;
      const boost::json::object object{{"axes", value}};
      for (const std::int64_t axis : Config(object, op.arguments().where()).integers("axes")) {
        result.push_back(op.axis_at("axes", axis, rank));
      }
      return result;
    };
    axes_a = read((*pair)[0], op.rank(a));
    axes_b = read((*pair)[1], op.rank(b));
    if (axes_a.size() != axes_b.size()) op.invalid("axes", "is a pair of unequal lists");
  }
  contract(op, a, b, axes_a, axes_b);
}

// The labels of one operand or of the result: letters as they are, and numbers from -1 downwards
// for the axes that an ellipsis stands for, counted from the last.
Labels parse(Operation& op, std::string_view text, std::size_t ellipsis_rank) {
  Labels labels;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ') continue;
    if (text.substr(i).starts_with("...")) {
      for (std::size_t n = ellipsis_rank; n > 0; --n) labels.push_back(-static_cast<int>(n));
      i += 2;
      continue;
    }
    if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')) {
      op.invalid("subscripts", fmt::format("'{}' is no subscript", c));
    }
    labels.push_back(c);
  }
  return labels;
}

void lower_einsum(Operation& op) {
  const std::string text = op.arguments().text("subscripts", "");
  const auto arrow = text.find("->");
  const std::string inputs = text.substr(0, arrow);
  const std::vector<ValueId> values = op.promoted_list("*operands");
  std::vector<Labelled> operands;
  std::size_t widest = 0;  // axes that the ellipsis of the result stands for
  for (std::size_t start = 0;;) {
    const auto comma = inputs.find(',', start);
    const std::string own = inputs.substr(start, comma - start);
    if (operands.size() == values.size()) op.invalid("subscripts", "name too many operands");
    const ValueId x = factor(op, values[operands.size()]);
    const std::size_t named = parse(op, own, 0).size();
    const std::size_t rest = op.rank(x) - std::min(named, op.rank(x));
    const Labels labels = parse(op, own, rest);
    widest = std::max(widest, rest);
    if (labels.size() != op.rank(x)) {
      op.invalid("subscripts", fmt::format("'{}' does not fit an operand of shape {}", own,
                                           op.shape(x).to_string()));
    }
    Labels sorted = labels;
    std::ranges::sort(sorted);
    if (std::ranges::adjacent_find(sorted) != sorted.end()) {
      op.unsupported("subscripts", fmt::format("'{}' takes a diagonal", own));
    }
    operands.push_back({.value = x, .labels = labels});
    if (comma == std::string::npos) break;
    start = comma + 1;
  }
  if (operands.size() != values.size()) op.invalid("subscripts", "name too few operands");
  Labels result;
  if (arrow != std::string::npos) {
    result = parse(op, std::string_view(text).substr(arrow + 2), widest);
  } else {
    // An ellipsis first, then the letters that occur once, in order.
    std::map<int, int> counts;
    for (const Labelled& operand : operands) {
      for (const int label : operand.labels) ++counts[label];
    }
    for (const auto& [label, count] : counts) {
      if (label < 0 || count == 1) result.push_back(label);
    }
  }
  for (const int label : result) {
    const bool known = std::ranges::any_of(
        operands, [&](const Labelled& operand) { return holds(operand.labels, label); });
    if (!known || std::ranges::count(result, label) != 1) {
      op.invalid("subscripts", "the result has a subscript twice, or one that no operand has");
    }
  }
  Contraction contraction(op);
  Labelled product = operands.front();
  for (std::size_t i = 1; i < operands.size(); ++i) {
    Labels kept = result;
    for (std::size_t n = i + 1; n < operands.size(); ++n) {
      kept.insert(kept.end(), operands[n].labels.begin(), operands[n].labels.end());
    }
    product = contraction.multiply(product, operands[i], kept);
  }
  product = contraction.summed(product, result);
  op.output(contraction.ordered(product, result).value);
}

// The last axes of both.
void lower_inner(Operation& op) {
  const auto [a, b] = factors(op);
  if (op.rank(a) == 0 || op.rank(b) == 0) {
    op.output(op.binary(Binary::Kind::kMultiply, a, b));
    return;
  }
  contract(op, a, b, {op.rank(a) - 1}, {op.rank(b) - 1});
}

// The sum of all products.
void lower_vdot(Operation& op) {
  const auto [a, b] = factors(op);
  const ValueId x = op.reshape({Reshape::kInfer}, a);
  const ValueId y = op.reshape({Reshape::kInfer}, b);
  op.output(op.reduce(Reduce::Kind::kSum, {0}, false, op.binary(Binary::Kind::kMultiply, x, y)));
}

// Vectors of three, along one axis of both.
void lower_cross(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  for (const char* name : {"axisa", "axisb", "axisc"}) {
    if (op.has(name) && op.arguments().integer(name) != -1) {
      op.unsupported(name, "is not the last axis");
    }
  }
  if (op.rank(x[0]) == 0 || op.rank(x[0]) != op.rank(x[1])) {
    op.unsupported("x1", "has another rank than x2");
  }
  const std::size_t axis = op.axis("axis", -1, op.rank(x[0]));
  for (const ValueId value : x) {
    if (op.shape(value)[axis] != 3) op.unsupported("axis", "holds no vectors of three");
  }
  const auto part = [&](ValueId value, std::int64_t i) {
    return op.slice(value, axis, i % 3, i % 3 + 1);
  };
  std::vector<ValueId> parts;
  for (std::int64_t i = 0; i < 3; ++i) {
    const ValueId forth = op.binary(Binary::Kind::kMultiply, part(x[0], i + 1), part(x[1], i + 2));
    const ValueId back = op.binary(Binary::Kind::kMultiply, part(x[0], i + 2), part(x[1], i + 1));
    parts.push_back(op.binary(Binary::Kind::kSubtract, forth, back));
  }
  op.output(op.concat(std::move(parts), axis));
}

// Every element of x1 times all of x2, in its place.
void lower_kron(Operation& op) {
  std::vector<ValueId> x = op.promoted({"x1", "x2"});
  while (op.rank(x[0]) < op.rank(x[1])) x[0] = op.with_axis(x[0], 0);
  while (op.rank(x[1]) < op.rank(x[0])) x[1] = op.with_axis(x[1], 0);
  const std::size_t rank = op.rank(x[0]);
  if (2 * rank > Shape::kMaxRank) op.unsupported("x1", "has too many dimensions");
  std::vector<std::int64_t> outer;
  std::vector<std::int64_t> inner;
  for (std::size_t i = 0; i < rank; ++i) {
    outer.insert(outer.end(), {Reshape::copy(i), 1});
    inner.insert(inner.end(), {1, Reshape::copy(i)});
  }
  ValueId y = op.binary(Binary::Kind::kMultiply, op.reshape(std::move(outer), x[0]),
                        op.reshape(std::move(inner), x[1]));
  // One axis after the other, so that one size may be unknown in each.
  for (std::size_t i = 0; i < rank; ++i) {
    std::vector<std::int64_t> dims;
    for (std::size_t j = 0; j < op.rank(y); ++j) {
      if (j == i) dims.push_back(Reshape::kInfer);
      if (j != i && j != i + 1) dims.push_back(Reshape::copy(j));
    }
    y = op.reshape(std::move(dims), y);
  }
  op.output(y);
}

}  // namespace

void register_products(Registry& registry);
void register_products(Registry& registry) {
  add_operations(registry, {"Matmul"}, {"x1", "x2"}, {}, lower_matmul);
  add_operations(registry, {"Dot"}, {"x1", "x2"}, {}, lower_dot);
  add_operations(registry, {"Inner"}, {"x1", "x2"}, {}, lower_inner);
  add_operations(registry, {"Vdot"}, {"x1", "x2"}, {}, lower_vdot);
  add_operations(registry, {"Cross"}, {"x1", "x2"}, {"axisa", "axisb", "axisc", "axis"},
                 lower_cross);
  add_operations(registry, {"Kron"}, {"x1", "x2"}, {}, lower_kron);
  add_operations(registry, {"Outer"}, {"x1", "x2"}, {}, lower_outer);
  add_operations(registry, {"Tensordot"}, {"x1", "x2"}, {"axes"}, lower_tensordot);
  add_operations(registry, {"Einsum"}, {"*operands"}, {"subscripts"}, lower_einsum);
}

}  // namespace kerf::layers
