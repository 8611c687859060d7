#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <numeric>
#include <optional>
#include <vector>

#include "layers/operation.h"

// Operations that put elements in places of a tensor.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reshape;

// x with `update` in the block that begins at `starts`, axis by axis.
ValueId replaced(Operation& op, ValueId x, ValueId update, const std::vector<std::int64_t>& starts,
                 std::size_t axis = 0) {
  if (axis == starts.size()) return update;
  const std::int64_t size = op.shape(x)[axis];
  const std::int64_t count = op.shape(update)[axis];
  const std::int64_t start = starts[axis];
  if (start == 0 && size == count) return replaced(op, x, update, starts, axis + 1);
  if (count == Shape::kUnknown) op.unsupported("updates", "their size must be known");
  if (start < 0 || (size != Shape::kUnknown && start + count > size)) {
    op.invalid("start_indices",
               fmt::format("a block of {} from {} on leaves an axis of {}", count, start, size));
  }
  std::vector<ValueId> parts;
  if (start > 0) parts.push_back(op.slice(x, axis, 0, start));
  parts.push_back(replaced(op, op.slice(x, axis, start, start + count), update, starts, axis + 1));
  if (size == Shape::kUnknown || start + count < size) {
    parts.push_back(op.slice(x, axis, start + count, std::nullopt));
  }
  return op.concat(std::move(parts), axis);
}

void lower_slice_update(Operation& op) {
  const ValueId x = op.tensor("inputs");
  const ValueId update = op.cast(op.dtype(x), op.tensor("updates"));
  const boost::json::value* given = op.arguments().find("start_indices");
  const boost::json::array* list = given == nullptr ? nullptr : given->if_array();
  const bool computed = list != nullptr && std::ranges::any_of(*list, [](const auto& place) {
                          return !place.is_number();
                        });
  const auto places = computed ? std::nullopt : op.literal("start_indices");
  if (!places) op.unsupported("start_indices", "they must be numbers that the file holds");
  const Tensor numbers = places->cast(DType::kInt64);
  const auto values = numbers.as<std::int64_t>();
  const std::vector<std::int64_t> starts(values.begin(), values.end());
  if (starts.size() != op.rank(x) || op.rank(update) != op.rank(x)) {
    op.invalid("start_indices", "do not fit the tensor's dimensions");
  }
  op.output(replaced(op, x, update, starts));
}

// The first axes of a tensor as one of places, the others as one of channels.
struct Table {
  Shape shape;
  std::size_t axes = 0;     // that an index names
  std::int64_t places = 1;  // in these
};

// Where the rows of `indices` lead, counted through the places: literally, if the file holds them.
struct Targets {
  std::vector<std::int64_t> literal;
  ValueId computed = 0;
  std::int64_t count = 0;
};

Targets targets_of(Operation& op, const Table& table) {
  std::vector<std::int64_t> strides(table.axes, 1);
  for (std::size_t i = table.axes; i-- > 1;) strides[i - 1] = strides[i] * table.shape[i];
  Targets targets;
  if (const auto indices = op.literal("indices")) {
    const Tensor numbers = indices->cast(DType::kInt64);
    const auto values = numbers.as<std::int64_t>();
    targets.count = static_cast<std::int64_t>(values.size() / table.axes);
    for (std::size_t i = 0; i < values.size(); i += table.axes) {
      std::int64_t place = 0;
      for (std::size_t k = 0; k < table.axes; ++k) {
        const std::int64_t size = table.shape[k];
        const std::int64_t at = values[i + k] < 0 ? values[i + k] + size : values[i + k];
        if (at < 0 || at >= size) {
          op.invalid("indices", fmt::format("{} is outside an axis of {}", values[i + k], size));
        }
        place += at * strides[k];
      }
      targets.literal.push_back(place);
    }
    return targets;
  }
  const ValueId ids = op.cast(DType::kInt32, op.tensor("indices"));
  const std::size_t last = op.rank(ids) - 1;
  const std::vector<std::int32_t> narrow(strides.begin(), strides.end());
  const ValueId weights = op.ops().constant(
      Tensor::of<std::int32_t>(DType::kInt32, {static_cast<std::int64_t>(table.axes)}, narrow));
  const ValueId place = op.reduce(program::Reduce::Kind::kSum, {static_cast<std::int64_t>(last)},
                                  false, op.binary(Binary::Kind::kMultiply, ids, weights));
  targets.computed = op.reshape({Reshape::kInfer}, place);
  targets.count = op.known_size(targets.computed, 0);
  return targets;
}

// (places, channels): the sum of the rows of `updates` that go to each place.
ValueId summed(Operation& op, const Targets& targets, std::int64_t places, ValueId updates) {
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (places * std::max<std::int64_t>(targets.count, 1) > kMost) {
    op.unsupported("indices", "there are too many of them");
  }
  ValueId belongs = 0;
  if (!targets.literal.empty()) {
    std::vector<float> ones(static_cast<std::size_t>(places * targets.count), 0);
    for (std::size_t i = 0; i < targets.literal.size(); ++i) {
      const auto row = static_cast<std::size_t>(targets.literal[i]);
      ones[row * targets.literal.size() + i] = 1;
    }
    belongs = op.ops().constant(Tensor::floats({places, targets.count}, ones));
  } else {
    std::vector<std::int32_t> numbers(static_cast<std::size_t>(places));
    std::iota(numbers.begin(), numbers.end(), 0);
    const ValueId all =
        op.ops().constant(Tensor::of<std::int32_t>(DType::kInt32, {places, 1}, numbers));
    belongs = op.to_float(op.binary(Binary::Kind::kEqual, all, targets.computed));
  }
  return op.ops().append(program::MatMul{}, {belongs, updates});
}

// The places of a shape, of which an index names as many axes as it has numbers.
Table table_of(Operation& op, const Shape& shape) {
  Table table{.shape = shape};
  const boost::json::value* written = op.arguments().find("indices");
  const auto literal = written == nullptr ? std::nullopt : op.literal("indices");
  const Shape indices = literal ? literal->shape() : op.shape(op.tensor("indices"));
  const std::int64_t axes = indices.rank() == 0 ? 0 : indices.back();
  if (axes < 1 || axes > static_cast<std::int64_t>(shape.rank())) {
    op.invalid("indices", "do not fit the tensor's dimensions");
  }
  table.axes = static_cast<std::size_t>(axes);
  for (std::size_t i = 0; i < table.axes; ++i) {
    if (shape[i] == Shape::kUnknown) {
      op.unsupported("indices", "they name an axis of unknown size");
    }
    table.places *= shape[i];
    if (table.places > program::kMaxDimension) op.unsupported("shape", "it is too large");
  }
  return table;
}

// `rows`, in the shape of the table.
ValueId unfolded(Operation& op, const Table& table, ValueId rows) {
  std::vector<std::int64_t> dims(table.shape.begin(), table.shape.end());
  for (std::size_t i = table.axes; i < dims.size(); ++i) {
    if (dims[i] == Shape::kUnknown) op.unsupported("shape", "a size must be known");
  }
  return op.reshape(std::move(dims), rows);
}

// `x` with the axes that an index names as one, and the others as one.
ValueId rows_of(Operation& op, ValueId x, std::int64_t rows) {
  return op.reshape({rows, Reshape::kInfer}, x);
}

void lower_scatter(Operation& op) {
  const std::vector<std::int64_t> sizes = op.arguments().integers("shape");
  Shape shape;
  for (const std::int64_t size : sizes) {
    if (size < 0 || size > program::kMaxDimension || shape.rank() == Shape::kMaxRank) {
      op.unsupported("shape", "it is too large");
    }
    shape.push_back(size);
  }
  const Table table = table_of(op, shape);
  const Targets targets = targets_of(op, table);
  const ValueId values = op.tensor("values");
  const ValueId rows = rows_of(op, op.to_float(values), targets.count);
  op.output(
      op.cast(op.dtype(values), unfolded(op, table, summed(op, targets, table.places, rows))));
}

void lower_scatter_update(Operation& op) {
  const ValueId x = op.tensor("inputs");
  const ValueId updates = op.tensor("updates");
  const Table table = table_of(op, op.shape(x));
  const Targets targets = targets_of(op, table);
  const std::string reduction = op.arguments().text("reduction", "");
  if (reduction == "add") {
    const ValueId rows = rows_of(op, op.to_float(updates), targets.count);
    const ValueId sums = op.cast(op.dtype(x), summed(op, targets, table.places, rows));
    op.output(op.binary(Binary::Kind::kAdd, x, unfolded(op, table, sums)));
    return;
  }
  if (!reduction.empty()) op.unsupported("reduction", fmt::format("is '{}'", reduction));
  if (targets.literal.empty()) {
    op.unsupported("indices", "they must be numbers that the file holds, where values replace");
  }
  // Each place takes its own row, or the last of the updates that go there.
  std::vector<std::int32_t> source(static_cast<std::size_t>(table.places));
  std::iota(source.begin(), source.end(), 0);
  for (std::size_t i = 0; i < targets.literal.size(); ++i) {
    source[static_cast<std::size_t>(targets.literal[i])] =
        static_cast<std::int32_t>(table.places + static_cast<std::int64_t>(i));
  }
  const ValueId rows = op.concat(
      {rows_of(op, x, table.places), rows_of(op, op.cast(op.dtype(x), updates), targets.count)}, 0);
  const ValueId ids =
      op.ops().constant(Tensor::of<std::int32_t>(DType::kInt32, {table.places}, source));
  op.output(unfolded(op, table, op.ops().append(program::Gather{}, {ids, rows})));
}

// Whether each element is among those of another tensor.
void lower_is_in(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  if (op.rank(x[0]) == Shape::kMaxRank) op.unsupported("x1", "it has too many dimensions");
  const std::size_t last = op.rank(x[0]);
  const ValueId all = op.reshape({Reshape::kInfer}, x[1]);
  const ValueId found =
      op.reduce(program::Reduce::Kind::kAny, {static_cast<std::int64_t>(last)}, false,
                op.binary(Binary::Kind::kEqual, op.with_axis(x[0], last), all));
  op.output(op.arguments().boolean("invert", false) ? op.ops().append(program::Not{}, {found})
                                                    : found);
}

}  // namespace

void register_scatter(Registry& registry);
void register_scatter(Registry& registry) {
  add_operations(registry, {"SliceUpdate"}, {"inputs", "start_indices", "updates"}, {},
                 lower_slice_update);
  add_operations(registry, {"Scatter"}, {"indices", "values"}, {"shape"}, lower_scatter);
  add_operations(registry, {"ScatterUpdate"}, {"inputs", "indices", "updates"}, {"reduction"},
                 lower_scatter_update);
  add_operations(registry, {"IsIn"}, {"x1", "x2"}, {"assume_unique", "invert"}, lower_is_in);
}

}  // namespace kerf::layers
