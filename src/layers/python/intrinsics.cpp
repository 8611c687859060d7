#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <cmath>
#include <map>
#include <optional>

#include "layers/python/arithmetic.h"
#include "layers/python/bound.h"

// Functions that are no single operation: of shapes, of Python, and those that keras.backend and
// TensorFlow put together from others.
namespace kerf::layers::python {
namespace {

namespace json = boost::json;
using program::Reshape;

bool holds_dimension(const Value& value) {
  if (value.is<Dimension>()) return true;
  const auto* sequence = value.as<Sequence>();
  return sequence != nullptr && std::ranges::any_of(*sequence->items, holds_dimension);
}

std::vector<Value> items_of(Evaluator& evaluator, const Value& value, std::string_view what) {
  const auto* sequence = value.as<Sequence>();
  if (sequence == nullptr) evaluator.refuse(fmt::format("{} is {}", what, describe(value)));
  return *sequence->items;
}

std::size_t rank_of(Evaluator& evaluator, const Value& x) {
  return evaluator.layer().shape(evaluator.tensor(x)).rank();
}

// Shapes.

Value compute_int_shape(Evaluator& evaluator, const Bound& given) {
  return evaluator.shape(given.at("x"), false);
}

Value compute_shape(Evaluator& evaluator, const Bound& given) {
  return evaluator.shape(given.at("x"), true);
}

Value compute_rank(Evaluator& evaluator, const Bound& given) {
  return {static_cast<std::int64_t>(rank_of(evaluator, given.at("x")))};
}

Value compute_dtype(Evaluator& evaluator, const Bound& given) {
  return evaluator.attribute(given.at("x"), "dtype");
}

// The reshape as an operation of Keras, where one size at most is open in x, and in the result.
std::optional<Value> plain_reshape(Evaluator& evaluator, ValueId x,
                                   const std::vector<std::int64_t>& dims) {
  const Shape shape = evaluator.layer().shape(x);
  std::int64_t elements = 1;  // as far as they are known
  for (const std::int64_t size : shape) elements *= size == Shape::kUnknown ? 1 : size;
  json::array sizes;
  std::optional<std::size_t> inferred;
  std::int64_t rest = 1;
  bool open = false;
  for (const std::int64_t dim : dims) {
    if (Reshape::lent(dim)) return std::nullopt;
    const auto axis = Reshape::copied(dim);
    const std::int64_t size = axis ? shape[*axis] : dim;
    if (axis && size == Shape::kUnknown) {
      if (open) return std::nullopt;
      open = true;
      sizes.push_back(-1);
      continue;
    }
    if (size == Reshape::kInfer) inferred = sizes.size();
    if (size != Reshape::kInfer) rest *= size;
    sizes.push_back(size);
  }
  const auto unknown = std::ranges::count(shape, Shape::kUnknown);
  if (unknown > 1 || (unknown == 1 && !open && !inferred)) return std::nullopt;
  if (open && inferred) {
    if (rest < 1 || elements % rest != 0) return std::nullopt;
    sizes[*inferred] = elements / rest;
  }
  return evaluator.operation(
      "Reshape", {{"x", evaluator.json_of(Value{TensorValue{x}})}, {"newshape", std::move(sizes)}});
}

// A reshape to sizes of which some only a request knows.
Value open_reshape(Evaluator& evaluator, ValueId x, const std::vector<Value>& sizes) {
  std::vector<std::int64_t> dims;
  std::vector<ValueId> operands{x};
  for (const Value& size : sizes) {
    if (const auto* open = size.as<Dimension>()) {
      if (open->tensor == x) {
        dims.push_back(Reshape::copy(open->axis));
        continue;
      }
      if (operands.size() == 2 && operands[1] != open->tensor) {
        evaluator.refuse("it gives a tensor the sizes of several others");
      }
      if (operands.size() == 1) operands.push_back(open->tensor);
      dims.push_back(Reshape::like(open->axis));
    } else if (size.is<NoneValue>()) {
      dims.push_back(Reshape::kInfer);
    } else {
      const std::int64_t dim = evaluator.integer(size, "a size");
      if (dim < -1) evaluator.refuse(fmt::format("a size is {}", dim));
      dims.push_back(dim);
    }
  }
  if (std::ranges::count(dims, Reshape::kInfer) > 1) {
    evaluator.refuse("it leaves several sizes of a tensor open");
  }
  if (const auto plain = plain_reshape(evaluator, x, dims)) return *plain;
  return {TensorValue{evaluator.layer().ops().append(Reshape{std::move(dims)}, operands)}};
}

Value compute_reshape(Evaluator& evaluator, const Bound& given) {
  const Value& shape = given.at("shape");
  if (holds_dimension(shape)) {
    return open_reshape(evaluator, evaluator.tensor(given.at("x")),
                        items_of(evaluator, shape, "a shape"));
  }
  return evaluator.operation(
      "Reshape", {{"x", evaluator.json_of(given.at("x"))}, {"newshape", evaluator.json_of(shape)}});
}

// Lists of sizes are put together as lists: they are no tensors here.
Value compute_stack(Evaluator& evaluator, const Bound& given) {
  const Value& values = given.at("x");
  if (holds_dimension(values)) {
    return evaluator.sequence(true, items_of(evaluator, values, "what is stacked"));
  }
  return evaluator.operation("Stack",
                             {{"xs", evaluator.json_of(values)},
                              {"axis", evaluator.json_of(given.get("axis", {std::int64_t{0}}))}});
}

Value compute_concatenate(Evaluator& evaluator, const Bound& given) {
  const Value& values = given.at("tensors");
  if (!holds_dimension(values)) {
    return evaluator.operation(
        "Concatenate", {{"xs", evaluator.json_of(values)},
                        {"axis", evaluator.json_of(given.get("axis", {std::int64_t{-1}}))}});
  }
  std::vector<Value> all;
  for (const Value& part : items_of(evaluator, values, "what is concatenated")) {
    for (const Value& item : items_of(evaluator, part, "a shape")) all.push_back(item);
  }
  return evaluator.sequence(true, std::move(all));
}

Value flattened(Evaluator& evaluator, const Bound& given) {
  const ValueId x = evaluator.tensor(given.at("x"));
  std::vector<std::int64_t> dims{Reshape::kInfer};
  if (given.path() == "K.batch_flatten") dims = {Reshape::copy(0), Reshape::kInfer};
  if (const auto plain = plain_reshape(evaluator, x, dims)) return *plain;
  return {TensorValue{evaluator.layer().ops().append(Reshape{std::move(dims)}, {x})}};
}

// Constants.

// One that fills a known shape.
Value filled(Evaluator& evaluator, const Value& shape, double value, const Value& dtype) {
  Shape dims;
  std::vector<Value> sizes{shape};
  if (const auto* sequence = shape.as<Sequence>()) sizes = *sequence->items;
  if (sizes.size() > Shape::kMaxRank) evaluator.refuse("a constant has too many dimensions");
  std::int64_t count = 1;
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  for (const Value& size : sizes) {
    const std::int64_t dim = evaluator.integer(size, "a size");
    if (dim < 0 || dim > kMost || (count *= std::max<std::int64_t>(dim, 1)) > kMost) {
      evaluator.refuse(fmt::format("a constant has the size {}", dim));
    }
    dims.push_back(dim);
  }
  const std::vector<float> values(static_cast<std::size_t>(dims.element_count()),
                                  static_cast<float>(value));
  Value made{TensorValue{evaluator.layer().ops().constant(Tensor::floats(dims, values))}};
  if (dtype.is<NoneValue>()) return made;
  return evaluator.operation("Cast",
                             {{"x", evaluator.json_of(made)}, {"dtype", evaluator.json_of(dtype)}});
}

Value compute_zeros(Evaluator& evaluator, const Bound& given) {
  const bool ones = given.path().ends_with("ones");
  return filled(evaluator, given.at("shape"), ones ? 1 : 0, given.get("dtype", {}));
}

Value compute_constant(Evaluator& evaluator, const Bound& given) {
  const Value& value = given.at("value");
  const Value& dtype = given.get("dtype", {});
  if (given.has("shape")) {
    return filled(evaluator, given.at("shape"), evaluator.number(value, "a constant"), dtype);
  }
  if (dtype.is<NoneValue>()) {
    // Those of Keras are floats, whatever they are made of.
    if (given.path().starts_with("tf.")) return value;
    return evaluator.operation("Cast", {{"x", evaluator.json_of(value)}, {"dtype", "float32"}});
  }
  return evaluator.operation(
      "Cast", {{"x", evaluator.json_of(value)}, {"dtype", evaluator.json_of(dtype)}});
}

Value compute_range(Evaluator& evaluator, const Bound& given) {
  std::int64_t start = 0;
  std::int64_t stop = 0;
  if (given.has("stop")) {
    start = evaluator.integer(given.at("start"), "the start of a range");
    stop = evaluator.integer(given.at("stop"), "the end of a range");
  } else {
    stop = evaluator.integer(given.at("start"), "the end of a range");
  }
  const std::int64_t step = evaluator.integer(given.get("step", {std::int64_t{1}}), "a step");
  constexpr std::int64_t kMost = 4000;
  if (step == 0 || std::abs(start) > (1 << 30) || std::abs(stop) > (1 << 30)) {
    evaluator.refuse("a range has no end");
  }
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop; i += step) {
    if (std::ssize(items) >= kMost) evaluator.refuse("a range is too long");
    items.push_back({i});
  }
  Value list = evaluator.sequence(true, std::move(items));
  if (given.path() == "range") return list;
  const Value& dtype = given.get("dtype", {std::string("int32")});
  return evaluator.operation("Cast",
                             {{"x", evaluator.json_of(list)}, {"dtype", evaluator.json_of(dtype)}});
}

Value compute_epsilon(Evaluator&, const Bound&) { return {1e-7}; }
Value compute_floatx(Evaluator&, const Bound&) { return {std::string("float32")}; }
Value compute_format(Evaluator&, const Bound& given) {
  return {std::string(given.path().ends_with("ordering") ? "tf" : "channels_last")};
}
Value compute_backend(Evaluator&, const Bound&) { return {std::string("tensorflow")}; }
Value compute_learning_phase(Evaluator&, const Bound&) { return {std::int64_t{0}}; }
Value compute_in_train_phase(Evaluator&, const Bound& given) { return given.at("alt"); }
Value compute_in_test_phase(Evaluator&, const Bound& given) { return given.at("x"); }
Value compute_same(Evaluator&, const Bound& given) { return given.at("x"); }
Value compute_none(Evaluator&, const Bound&) { return {}; }

// Put together.

// keras.backend takes the root of what is negative as that of zero.
Value compute_sqrt(Evaluator& evaluator, const Bound& given) {
  const Value positive =
      evaluator.operation("Maximum", {{"x1", evaluator.json_of(given.at("x"))}, {"x2", 0.0}});
  return evaluator.operation("Sqrt", {{"x", evaluator.json_of(positive)}});
}

Value compute_hard_sigmoid(Evaluator& evaluator, const Bound& given) {
  const Value line =
      evaluator.binary(BinaryOperator::kAdd,
                       evaluator.binary(BinaryOperator::kMultiply, given.at("x"), {0.2}), {0.5});
  return evaluator.operation("Clip",
                             {{"x", evaluator.json_of(line)}, {"x_min", 0.0}, {"x_max", 1.0}});
}

Value compute_switch(Evaluator& evaluator, const Bound& given) {
  const Value& condition = given.at("condition");
  if (!condition.is<TensorValue>()) {
    return evaluator.truth(condition) ? given.at("then_expression") : given.at("else_expression");
  }
  const std::size_t rank = rank_of(evaluator, condition);
  if (rank != 0 && rank != rank_of(evaluator, given.at("then_expression"))) {
    evaluator.refuse("its K.switch has a condition of another rank than the results");
  }
  return evaluator.operation("Where", {{"condition", evaluator.json_of(condition)},
                                       {"x1", evaluator.json_of(given.at("then_expression"))},
                                       {"x2", evaluator.json_of(given.at("else_expression"))}});
}

// x and y contracted over one axis each, sample by sample.
Value compute_batch_dot(Evaluator& evaluator, const Bound& given) {
  const auto x_rank = static_cast<std::int64_t>(rank_of(evaluator, given.at("x")));
  const auto y_rank = static_cast<std::int64_t>(rank_of(evaluator, given.at("y")));
  std::array<std::int64_t, 2> axes{x_rank - 1, y_rank == 2 ? 1 : y_rank - 2};
  if (given.has("axes")) {
    const Value& value = given.at("axes");
    if (value.is<Sequence>()) {
      const std::vector<Value> items = evaluator.unpacked(value, 2);
      axes = {evaluator.integer(items[0], "an axis"), evaluator.integer(items[1], "an axis")};
    } else {
      axes.fill(evaluator.integer(value, "an axis"));
    }
  }
  if (axes[0] < 0) axes[0] += x_rank;
  if (axes[1] < 0) axes[1] += y_rank;
  if (axes[0] < 1 || axes[0] >= x_rank || axes[1] < 1 || axes[1] >= y_rank) {
    evaluator.refuse("its K.batch_dot is over axes that the tensors do not have");
  }
  // 'b' is the batch, 'z' what is summed over.
  std::string x_labels = "b";
  std::string y_labels = "b";
  std::string result = "b";
  char next = 'c';
  for (std::int64_t i = 1; i < x_rank; ++i) {
    x_labels += i == axes[0] ? 'z' : next;
    if (i != axes[0]) result += next++;
  }
  for (std::int64_t i = 1; i < y_rank; ++i) {
    y_labels += i == axes[1] ? 'z' : next;
    if (i != axes[1]) result += next++;
  }
  json::array operands;
  operands.push_back(evaluator.json_of(given.at("x")));
  operands.push_back(evaluator.json_of(given.at("y")));
  Value product =
      evaluator.operation("Einsum", {{"subscripts", x_labels + "," + y_labels + "->" + result},
                                     {"*operands", std::move(operands)}});
  if (result.size() > 1) return product;
  return evaluator.operation("ExpandDims", {{"x", evaluator.json_of(product)}, {"axis", 1}});
}

Value compute_einsum(Evaluator& evaluator, const Bound& given) {
  json::array operands;
  for (const char* name : {"a", "b", "c", "d"}) {
    if (given.has(name)) operands.push_back(evaluator.json_of(given.at(name)));
  }
  return evaluator.operation("Einsum", {{"subscripts", evaluator.json_of(given.at("equation"))},
                                        {"*operands", std::move(operands)}});
}

Value compute_tensordot(Evaluator& evaluator, const Bound& given) {
  return evaluator.operation("Tensordot", {{"x1", evaluator.json_of(given.at("a"))},
                                           {"x2", evaluator.json_of(given.at("b"))},
                                           {"axes", evaluator.json_of(given.at("axes"))}});
}

Value compute_argmax(Evaluator& evaluator, const Bound& given) {
  const bool most = given.path().ends_with("max");
  return evaluator.operation(most ? "Argmax" : "Argmin",
                             {{"x", evaluator.json_of(given.at("input"))},
                              {"axis", evaluator.json_of(given.get("axis", {std::int64_t{0}}))}});
}

// (n, d) to (n, times, d).
Value compute_repeat(Evaluator& evaluator, const Bound& given) {
  const Value spread =
      evaluator.operation("ExpandDims", {{"x", evaluator.json_of(given.at("x"))}, {"axis", 1}});
  return evaluator.operation("Repeat", {{"x", evaluator.json_of(spread)},
                                        {"repeats", evaluator.json_of(given.at("n"))},
                                        {"axis", 1}});
}

Value compute_padding(Evaluator& evaluator, const Bound& given) {
  json::value sides = evaluator.json_of(given.at("padding"));
  const bool temporal = given.path() == "K.temporal_padding";
  const json::array none{0, 0};
  json::array widths;
  widths.push_back(none);
  if (temporal) {
    widths.push_back(std::move(sides));
  } else {
    if (!sides.is_array() || sides.get_array().size() != 2) evaluator.refuse("it pads no image");
    for (json::value& side : sides.get_array()) widths.push_back(std::move(side));
  }
  widths.push_back(none);
  return evaluator.operation("Pad", {{"x", evaluator.json_of(given.at("x"))},
                                     {"pad_width", std::move(widths)},
                                     {"mode", "constant"},
                                     {"constant_values", 0.0}});
}

Value compute_add_n(Evaluator& evaluator, const Bound& given) {
  std::vector<Value> items = items_of(evaluator, given.at("inputs"), "what is added up");
  if (items.empty()) return {std::int64_t{0}};
  Value sum = items.front();
  for (std::size_t i = 1; i < items.size(); ++i) {
    sum = evaluator.binary(BinaryOperator::kAdd, sum, items[i]);
  }
  return sum;
}

Value compute_slice(Evaluator& evaluator, const Bound& given) {
  return evaluator.operation("Slice", {{"inputs", evaluator.json_of(given.at("input"))},
                                       {"start_indices", evaluator.json_of(given.at("begin"))},
                                       {"shape", evaluator.json_of(given.at("size"))}});
}

Value compute_moments(Evaluator& evaluator, const Bound& given) {
  return evaluator.operation("Moments",
                             {{"x", evaluator.json_of(given.at("x"))},
                              {"axes", evaluator.json_of(given.at("axes"))},
                              {"keepdims", evaluator.json_of(given.get("keepdims", {false}))}});
}

// A weight of the layer, which the file has in the order in which they are declared.
Value compute_weight(Evaluator& evaluator, const Bound& given) {
  const auto* name = given.at("name").as<std::string>();
  if (name == nullptr || name->empty()) evaluator.refuse("a weight has no name");
  Shape shape;
  for (const Value& size : items_of(evaluator, given.at("shape"), "the shape of a weight")) {
    if (shape.rank() == Shape::kMaxRank) evaluator.refuse("a weight has too many dimensions");
    shape.push_back(evaluator.integer(size, "the size of a weight"));
  }
  return {TensorValue{evaluator.layer().weight(*name, shape)}};
}

// Python's own.

Value compute_len(Evaluator& evaluator, const Bound& given) {
  const Value& x = given.at("x");
  if (const auto* sequence = x.as<Sequence>()) {
    return {static_cast<std::int64_t>(sequence->items->size())};
  }
  if (!x.is<TensorValue>())
    evaluator.refuse(fmt::format("it asks for the length of {}", describe(x)));
  return evaluator.subscript(evaluator.shape(x, true), {std::int64_t{0}});
}

Value compute_int(Evaluator& evaluator, const Bound& given) {
  const auto x = number_of(given.at("x"));
  constexpr double kMost = 9007199254740992.0;
  if (!x || !(std::abs(*x) < kMost)) {
    evaluator.refuse(fmt::format("it makes an integer of {}", describe(given.at("x"))));
  }
  return {static_cast<std::int64_t>(*x)};
}

Value compute_float(Evaluator& evaluator, const Bound& given) {
  const auto x = number_of(given.at("x"));
  if (!x) evaluator.refuse(fmt::format("it makes a number of {}", describe(given.at("x"))));
  return {*x};
}

Value compute_bool(Evaluator& evaluator, const Bound& given) {
  return {evaluator.truth(given.at("x"))};
}

Value compute_abs(Evaluator& evaluator, const Bound& given) {
  const Value& x = given.at("x");
  if (!x.is<TensorValue>()) {
    const bool negative =
        evaluator.truth(evaluator.compare(Comparison::kLess, x, {std::int64_t{0}}));
    return negative ? evaluator.negative(x) : x;
  }
  return evaluator.operation("Absolute", {{"x", evaluator.json_of(x)}});
}

Value compute_extreme(Evaluator& evaluator, const Bound& given) {
  std::vector<Value> items;
  if (given.has("b")) {
    items = {given.at("a"), given.at("b")};
  } else {
    items = items_of(evaluator, given.at("a"), "what it takes the largest of");
  }
  if (items.empty()) evaluator.refuse("it takes the largest of nothing");
  Value best = items.front();
  for (const Value& item : items) {
    const auto comparison = given.path() == "max" ? Comparison::kGreater : Comparison::kLess;
    if (evaluator.truth(evaluator.compare(comparison, item, best))) best = item;
  }
  return best;
}

Value compute_collection(Evaluator& evaluator, const Bound& given) {
  const Value& x =
      given.get("x", {Sequence{true, std::make_shared<const std::vector<Value>>(), 1}});
  return evaluator.sequence(given.path() == "list", items_of(evaluator, x, "what becomes a list"));
}

Value compute_power(Evaluator& evaluator, const Bound& given) {
  return evaluator.binary(BinaryOperator::kPower, given.at("x"), given.at("y"));
}

Value compute_slice_object(Evaluator&, const Bound& given) {
  if (!given.has("stop")) return Evaluator::slice({}, given.at("start"), {});
  return Evaluator::slice(given.at("start"), given.at("stop"), given.get("step", {}));
}

// The product of known sizes; of a tensor it is an operation.
Value compute_prod(Evaluator& evaluator, const Bound& given) {
  const Value& x = given.at("a");
  if (const auto* sequence = x.as<Sequence>(); sequence != nullptr && !given.has("axis")) {
    Value product{std::int64_t{1}};
    for (const Value& item : *sequence->items) {
      product = evaluator.binary(BinaryOperator::kMultiply, product, item);
    }
    return product;
  }
  return evaluator.operation("Prod",
                             {{"x", evaluator.json_of(x)},
                              {"axis", evaluator.json_of(given.get("axis", {}))},
                              {"keepdims", evaluator.json_of(given.get("keepdims", {false}))}});
}

const std::map<std::string_view, Intrinsic>& intrinsics() {
  static const std::map<std::string_view, Intrinsic> kIntrinsics{
      {"K.int_shape", {{"x"}, compute_int_shape}},
      {"K.shape", {{"x"}, compute_shape}},
      {"tf.shape", {{"x", "name", "out_type"}, compute_shape}},
      {"ops.shape", {{"x"}, compute_shape}},
      {"np.shape", {{"x"}, compute_int_shape}},
      {"K.ndim", {{"x"}, compute_rank}},
      {"ops.ndim", {{"x"}, compute_rank}},
      {"np.ndim", {{"x"}, compute_rank}},
      {"tf.rank", {{"x"}, compute_rank}},
      {"K.dtype", {{"x"}, compute_dtype}},
      {"K.reshape", {{"x", "shape"}, compute_reshape}},
      {"tf.reshape", {{"x", "shape", "name"}, compute_reshape}},
      {"ops.reshape", {{"x", "shape"}, compute_reshape}},
      {"np.reshape", {{"x", "shape"}, compute_reshape}},
      {"K.stack", {{"x", "axis"}, compute_stack}},
      {"tf.stack", {{"x", "axis", "name"}, compute_stack}},
      {"ops.stack", {{"x", "axis"}, compute_stack}},
      {"K.concatenate", {{"tensors", "axis"}, compute_concatenate}},
      {"tf.concat", {{"tensors", "axis", "name"}, compute_concatenate}},
      {"K.flatten", {{"x"}, flattened}},
      {"K.batch_flatten", {{"x"}, flattened}},
      {"K.zeros", {{"shape", "dtype"}, compute_zeros}},
      {"K.ones", {{"shape", "dtype"}, compute_zeros}},
      {"tf.zeros", {{"shape", "dtype"}, compute_zeros}},
      {"tf.ones", {{"shape", "dtype"}, compute_zeros}},
      {"ops.zeros", {{"shape", "dtype"}, compute_zeros}},
      {"ops.ones", {{"shape", "dtype"}, compute_zeros}},
      {"K.constant", {{"value", "dtype", "shape"}, compute_constant}},
      {"K.variable", {{"value", "dtype"}, compute_constant}},
      {"tf.constant", {{"value", "dtype", "shape"}, compute_constant}},
      {"tf.convert_to_tensor", {{"value", "dtype"}, compute_constant}},
      {"np.array", {{"x"}, compute_same}},
      {"np.asarray", {{"x"}, compute_same}},
      {"K.cast_to_floatx", {{"x"}, compute_same}},
      {"tf.TensorShape", {{"x"}, compute_same}},
      {"tf.debugging.check_numerics", {{"x", "message"}, compute_same}},
      {"K.arange", {{"start", "stop", "step", "dtype"}, compute_range}},
      {"tf.range", {{"start", "stop", "step", "dtype"}, compute_range}},
      {"np.arange", {{"start", "stop", "step", "dtype"}, compute_range}},
      {"ops.arange", {{"start", "stop", "step", "dtype"}, compute_range}},
      {"range", {{"start", "stop", "step"}, compute_range}},
      {"K.epsilon", {{}, compute_epsilon}},
      {"K.floatx", {{}, compute_floatx}},
      {"K.image_data_format", {{}, compute_format}},
      {"K.image_dim_ordering", {{}, compute_format}},
      {"K.backend", {{}, compute_backend}},
      {"K.learning_phase", {{}, compute_learning_phase}},
      {"K.in_train_phase", {{"x", "alt", "training"}, compute_in_train_phase}},
      {"K.in_test_phase", {{"x", "alt", "training"}, compute_in_test_phase}},
      {"K.sqrt", {{"x"}, compute_sqrt}},
      {"K.hard_sigmoid", {{"x"}, compute_hard_sigmoid}},
      {"K.switch", {{"condition", "then_expression", "else_expression"}, compute_switch}},
      {"K.batch_dot", {{"x", "y", "axes"}, compute_batch_dot}},
      {"tf.einsum", {{"equation", "a", "b", "c", "d"}, compute_einsum}},
      {"tf.tensordot", {{"a", "b", "axes"}, compute_tensordot}},
      {"tf.argmax", {{"input", "axis"}, compute_argmax}},
      {"tf.argmin", {{"input", "axis"}, compute_argmax}},
      {"tf.math.argmax", {{"input", "axis"}, compute_argmax}},
      {"tf.math.argmin", {{"input", "axis"}, compute_argmax}},
      {"K.repeat", {{"x", "n"}, compute_repeat}},
      {"K.temporal_padding", {{"x", "padding"}, compute_padding}},
      {"K.spatial_2d_padding", {{"x", "padding"}, compute_padding}},
      {"tf.add_n", {{"inputs"}, compute_add_n}},
      {"tf.math.add_n", {{"inputs"}, compute_add_n}},
      {"tf.slice", {{"input", "begin", "size"}, compute_slice}},
      {"tf.nn.moments", {{"x", "axes", "shift", "keepdims"}, compute_moments}},
      {"np.prod", {{"a", "axis", "keepdims"}, compute_prod}},
      {"weight", {{"name", "shape"}, compute_weight}},
      {"len", {{"x"}, compute_len}},
      {"int", {{"x"}, compute_int}},
      {"float", {{"x"}, compute_float}},
      {"bool", {{"x"}, compute_bool}},
      {"abs", {{"x"}, compute_abs}},
      {"max", {{"a", "b"}, compute_extreme}},
      {"min", {{"a", "b"}, compute_extreme}},
      {"sum", {{"inputs"}, compute_add_n}},
      {"list", {{"x"}, compute_collection}},
      {"tuple", {{"x"}, compute_collection}},
      {"pow", {{"x", "y"}, compute_power}},
      {"print", {{"a", "b", "c", "d"}, compute_none}},
      {"slice", {{"start", "stop", "step"}, compute_slice_object}}};
  return kIntrinsics;
}

}  // namespace

const Intrinsic* find_intrinsic(std::string_view path) {
  const auto it = intrinsics().find(path);
  return it == intrinsics().end() ? nullptr : &it->second;
}

}  // namespace kerf::layers::python
