#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <numeric>

#include "layers/operation.h"

// Operations that move elements without computing.
namespace kerf::layers {
namespace {

using program::Reshape;

std::vector<std::int64_t> same(std::size_t rank) {
  std::vector<std::int64_t> dims(rank);
  for (std::size_t i = 0; i < rank; ++i) dims[i] = Reshape::copy(i);
  return dims;
}

void lower_reshape(Operation& op) {
  const ValueId x = op.tensor("x");
  std::vector<std::int64_t> dims = op.arguments().integers("newshape");
  for (const std::int64_t dim : dims) {
    if (dim < -1) op.invalid("newshape", fmt::format("has the entry {}", dim));
  }
  // "-1" that can only be the batch is the batch: so its dimension stays known as that.
  const Shape& shape = op.shape(x);
  const auto open = std::ranges::find(dims, -1);
  if (open == dims.begin() && open != dims.end() && shape.rank() > 0 &&
      shape[0] == Shape::kUnknown) {
    double rest = 1;
    for (std::size_t i = 1; i < shape.rank(); ++i) rest *= static_cast<double>(shape[i]);
    double wanted = 1;
    for (std::size_t i = 1; i < dims.size(); ++i) wanted *= static_cast<double>(dims[i]);
    if (rest == wanted && rest > 0) dims[0] = Reshape::copy(0);
  }
  op.output(op.reshape(std::move(dims), x));
}

void lower_ravel(Operation& op) { op.output(op.reshape({Reshape::kInfer}, op.tensor("x"))); }

void lower_transpose(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::size_t rank = op.rank(x);
  std::vector<std::int64_t> permutation(rank);
  std::iota(permutation.rbegin(), permutation.rend(), 0);
  if (op.has("axes")) permutation = op.arguments().integers("axes");
  for (std::int64_t& axis : permutation) {
    axis = static_cast<std::int64_t>(op.axis_at("axes", axis, rank));
  }
  if (permutation.size() != rank) op.invalid("axes", fmt::format("does not name {} axes", rank));
  op.output(op.transpose(std::move(permutation), x));
}

void lower_swapaxes(Operation& op) {
  const ValueId x = op.tensor("x");
  std::vector<std::int64_t> permutation(op.rank(x));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[op.axis("axis1", 0, op.rank(x))],
            permutation[op.axis("axis2", 1, op.rank(x))]);
  op.output(op.transpose(std::move(permutation), x));
}

void lower_moveaxis(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::size_t rank = op.rank(x);
  const std::vector<std::int64_t> from = op.arguments().integers("source");
  const std::vector<std::int64_t> to = op.arguments().integers("destination");
  if (from.size() != to.size()) op.invalid("destination", "names another number of axes");
  std::vector<std::int64_t> permutation(rank, -1);
  std::vector<bool> moved(rank);
  for (std::size_t i = 0; i < from.size(); ++i) {
    const std::size_t source = op.axis_at("source", from[i], rank);
    std::int64_t& place = permutation[op.axis_at("destination", to[i], rank)];
    if (moved[source] || place >= 0) op.invalid("source", "an axis is named twice");
    moved[source] = true;
    place = static_cast<std::int64_t>(source);
  }
  std::size_t next = 0;
  for (std::int64_t& place : permutation) {
    if (place >= 0) continue;
    while (moved[next]) ++next;
    place = static_cast<std::int64_t>(next++);
  }
  op.output(op.transpose(std::move(permutation), x));
}

void lower_expand_dims(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::vector<std::int64_t> given = op.arguments().integers("axis");
  const std::size_t rank = op.rank(x) + given.size();
  if (rank > Shape::kMaxRank) op.unsupported("axis", "the result has too many dimensions");
  std::vector<bool> added(rank);
  for (const std::int64_t axis : given) added[op.axis_at("axis", axis, rank)] = true;
  std::vector<std::int64_t> dims;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) dims.push_back(added[i] ? 1 : Reshape::copy(next++));
  if (next != op.rank(x)) op.invalid("axis", "names an axis twice");
  op.output(op.reshape(std::move(dims), x));
}

void lower_squeeze(Operation& op) {
  const ValueId x = op.tensor("x");
  std::vector<std::int64_t> dropped;
  if (op.has("axis")) dropped = op.axes("axis", op.rank(x));
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < op.rank(x); ++i) {
    const std::int64_t size = op.shape(x)[i];
    const bool named = std::ranges::find(dropped, static_cast<std::int64_t>(i)) != dropped.end();
    if (named && size != 1 && size != Shape::kUnknown) {
      op.invalid("axis", fmt::format("names an axis of {} elements", size));
    }
    if (!(op.has("axis") ? named : size == 1)) dims.push_back(Reshape::copy(i));
  }
  op.output(op.reshape(std::move(dims), x));
}

void lower_flip(Operation& op) {
  ValueId x = op.tensor("x");
  for (const std::int64_t axis : op.axes("axis", op.rank(x))) {
    x = op.ops().append(program::Slice{.axis = axis, .begin = {}, .end = {}, .step = -1}, {x});
  }
  op.output(x);
}

ValueId rolled(Operation& op, ValueId x, std::size_t axis, std::int64_t shift) {
  const std::int64_t size = op.known_size(x, axis);
  if (size == 0) return x;
  const std::int64_t begin = size - ((shift % size + size) % size);
  if (begin == size) return x;
  const auto number = static_cast<std::int64_t>(axis);
  const ValueId head =
      op.ops().append(program::Slice{.axis = number, .begin = 0, .end = begin}, {x});
  const ValueId tail =
      op.ops().append(program::Slice{.axis = number, .begin = begin, .end = {}}, {x});
  return op.ops().append(program::Concat{number}, {tail, head});
}

void lower_roll(Operation& op) {
  ValueId x = op.tensor("x");
  const std::vector<std::int64_t> shifts = op.arguments().integers("shift");
  if (!op.has("axis")) {
    if (!op.shape(x).is_static() || shifts.size() != 1) {
      op.unsupported("axis", "a roll over all elements needs a known shape");
    }
    const ValueId line = op.reshape({Reshape::kInfer}, x);
    const Shape shape = op.shape(x);
    op.output(op.reshape(std::vector<std::int64_t>(shape.begin(), shape.end()),
                         rolled(op, line, 0, shifts[0])));
    return;
  }
  const std::vector<std::int64_t> axes = op.arguments().integers("axis");
  if (shifts.size() != axes.size() && shifts.size() != 1) {
    op.invalid("shift", "has another number of entries than the axis");
  }
  for (std::size_t i = 0; i < axes.size(); ++i) {
    x = rolled(op, x, op.axis_at("axis", axes[i], op.rank(x)), shifts[shifts.size() == 1 ? 0 : i]);
  }
  op.output(x);
}

ValueId concatenated(Operation& op, std::vector<ValueId> values, std::size_t axis) {
  if (values.size() == 1) return values.front();
  return op.ops().append(program::Concat{static_cast<std::int64_t>(axis)}, std::move(values));
}

void lower_concatenate(Operation& op) {
  std::vector<ValueId> values = op.promoted_list("xs");
  const std::size_t axis = op.axis("axis", 0, op.rank(values.front()));
  op.output(concatenated(op, std::move(values), axis));
}

void lower_stack(Operation& op) {
  std::vector<ValueId> values = op.promoted_list("xs");
  const std::size_t rank = op.rank(values.front()) + 1;
  const std::size_t axis = op.axis("axis", 0, rank);
  for (ValueId& value : values) {
    std::vector<std::int64_t> dims = same(op.rank(value));
    if (dims.size() + 1 != rank) op.invalid("xs", "holds tensors of unequal rank");
    dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
    value = op.reshape(std::move(dims), value);
  }
  op.output(concatenated(op, std::move(values), axis));
}

// Tensors side by side as NumPy's stacks of rows, columns and depths do.
void lower_named_stack(Operation& op) {
  std::vector<ValueId> values = op.promoted_list("xs");
  const std::string& name = op.class_name();
  std::size_t axis = name == "Vstack" ? 0 : name == "Dstack" ? 2 : 1;
  for (ValueId& value : values) {
    const std::size_t rank = op.rank(value);
    if (name == "Hstack") {
      if (rank == 0) value = op.with_axis(value, 0);
      if (op.rank(value) == 1) axis = 0;
    } else if (name == "ColumnStack") {
      if (rank == 1) value = op.with_axis(value, 1);
    } else {
      if (rank == 0) value = op.with_axis(value, 0);
      if (op.rank(value) == 1) value = op.with_axis(value, 0);
      if (name == "Dstack" && op.rank(value) == 2) value = op.with_axis(value, 2);
    }
  }
  op.output(op.concat(std::move(values), axis));
}

void lower_append(Operation& op) {
  std::vector<ValueId> values = op.promoted({"x1", "x2"});
  if (op.has("axis")) {
    const std::size_t axis = op.axis("axis", 0, op.rank(values[0]));
    op.output(op.concat(std::move(values), axis));
    return;
  }
  for (ValueId& value : values) value = op.reshape({Reshape::kInfer}, value);
  op.output(op.concat(std::move(values), 0));
}

// A quarter turn, k times.
void lower_rot90(Operation& op) {
  ValueId x = op.tensor("array");
  std::vector<std::int64_t> axes{0, 1};
  if (op.has("axes")) axes = op.arguments().integers("axes");
  if (axes.size() != 2) op.invalid("axes", "are not two");
  const std::size_t a = op.axis_at("axes", axes[0], op.rank(x));
  const std::size_t b = op.axis_at("axes", axes[1], op.rank(x));
  const std::int64_t turns = ((op.arguments().integer("k", 1) % 4) + 4) % 4;
  if (turns == 1 || turns == 2) x = op.slice(x, b, {}, {}, -1);
  if (turns == 2) x = op.slice(x, a, {}, {}, -1);
  if (turns == 1 || turns == 3) x = op.swapped(x, a, b);
  if (turns == 3) x = op.slice(x, b, {}, {}, -1);
  op.output(x);
}

void lower_named_flip(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::size_t axis = op.class_name() == "Flipud" ? 0 : 1;
  if (op.rank(x) <= axis) op.invalid("x", "has too few axes");
  op.output(op.slice(x, axis, {}, {}, -1));
}

void lower_split(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::string& name = op.class_name();
  const std::int64_t named = name == "Hsplit"   ? (op.rank(x) == 1 ? 0 : 1)
                             : name == "Dsplit" ? 2
                                                : 0;
  const std::size_t axis = op.axis("axis", named, op.rank(x));
  const bool parts = !op.arguments().find("indices_or_sections") ||
                     !op.arguments().find("indices_or_sections")->is_array();
  std::vector<std::int64_t> cuts{0};
  if (parts) {
    const std::int64_t count = op.arguments().size("indices_or_sections");
    const std::int64_t size = op.known_size(x, axis);
    // ArraySplit makes the first parts one longer where they cannot be equal.
    const std::int64_t longer = size % count;
    if (count > size || (longer != 0 && name != "ArraySplit")) {
      op.invalid("indices_or_sections",
                 fmt::format("an axis of {} cannot be split into {}", size, count));
    }
    for (std::int64_t i = 1; i < count; ++i) {
      cuts.push_back(i * (size / count) + std::min(i, longer));
    }
  } else {
    for (const std::int64_t cut : op.arguments().integers("indices_or_sections")) {
      cuts.push_back(cut);
    }
  }
  for (std::size_t i = 0; i < cuts.size(); ++i) {
    std::optional<std::int64_t> end;
    if (i + 1 < cuts.size()) end = cuts[i + 1];
    op.output(op.ops().append(
        program::Slice{.axis = static_cast<std::int64_t>(axis), .begin = cuts[i], .end = end},
        {x}));
  }
}

void lower_unstack(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::size_t axis = op.axis("axis", 0, op.rank(x));
  const std::int64_t count = op.known_size(x, axis);
  for (std::int64_t i = 0; i < count; ++i) {
    const ValueId part = op.ops().append(
        program::Slice{.axis = static_cast<std::int64_t>(axis), .begin = i, .end = i + 1}, {x});
    std::vector<std::int64_t> dims = same(op.rank(x));
    dims.erase(dims.begin() + static_cast<std::ptrdiff_t>(axis));
    op.output(op.reshape(std::move(dims), part));
  }
}

void lower_tile(Operation& op) {
  ValueId x = op.tensor("x");
  std::vector<std::int64_t> repeats = op.arguments().integers("repeats");
  while (repeats.size() < op.rank(x)) repeats.insert(repeats.begin(), 1);
  if (repeats.size() > Shape::kMaxRank) op.unsupported("repeats", "has too many entries");
  if (repeats.size() > op.rank(x)) {
    std::vector<std::int64_t> dims = same(op.rank(x));
    dims.insert(dims.begin(), repeats.size() - op.rank(x), 1);
    x = op.reshape(std::move(dims), x);
  }
  for (std::size_t i = 0; i < repeats.size(); ++i) {
    if (repeats[i] == 1) continue;
    x = op.ops().append(program::Tile{.axis = static_cast<std::int64_t>(i), .times = repeats[i]},
                        {x});
  }
  op.output(x);
}

// Every element `times` times in a row along an axis.
ValueId repeated(Operation& op, ValueId x, std::size_t axis, std::int64_t times) {
  if (times == 1) return x;
  std::vector<std::int64_t> split = same(op.rank(x));
  split.insert(split.begin() + static_cast<std::ptrdiff_t>(axis) + 1, 1);
  if (split.size() > Shape::kMaxRank) op.unsupported("axis", "there are too many dimensions");
  const std::int64_t size = op.shape(x)[axis];
  const ValueId tiled =
      op.ops().append(program::Tile{.axis = static_cast<std::int64_t>(axis) + 1, .times = times},
                      {op.reshape(std::move(split), x)});
  std::vector<std::int64_t> joined;
  for (std::size_t i = 0; i < op.rank(x); ++i) {
    joined.push_back(i != axis                 ? Reshape::copy(i < axis ? i : i + 1)
                     : size == Shape::kUnknown ? Reshape::kInfer
                                               : size * times);
  }
  return op.reshape(std::move(joined), tiled);
}

void lower_repeat(Operation& op) {
  std::size_t axis = 0;
  const ValueId x = op.along(op.tensor("x"), axis);
  const std::vector<std::int64_t> repeats = op.arguments().integers("repeats");
  const auto check = [&](std::int64_t times) {
    if (times < 0 || times > program::kMaxDimension) op.invalid("repeats", "is out of range");
  };
  if (repeats.size() == 1) {
    check(repeats[0]);
    op.output(repeated(op, x, axis, repeats[0]));
    return;
  }
  if (op.known_size(x, axis) != static_cast<std::int64_t>(repeats.size())) {
    op.invalid("repeats", "has another number of entries than the axis");
  }
  std::vector<ValueId> parts;
  for (std::size_t i = 0; i < repeats.size(); ++i) {
    check(repeats[i]);
    const auto at = static_cast<std::int64_t>(i);
    const ValueId part = op.ops().append(
        program::Slice{.axis = static_cast<std::int64_t>(axis), .begin = at, .end = at + 1}, {x});
    parts.push_back(op.ops().append(
        program::Tile{.axis = static_cast<std::int64_t>(axis), .times = repeats[i]}, {part}));
  }
  op.output(concatenated(op, std::move(parts), axis));
}

// NumPy's broadcasting to a shape. An axis whose size only a request knows must have the size that
// is named.
void lower_broadcast_to(Operation& op) {
  ValueId x = op.tensor("x");
  const std::vector<std::int64_t> shape = op.arguments().integers("shape");
  if (shape.size() < op.rank(x) || shape.size() > Shape::kMaxRank) {
    op.invalid("shape", fmt::format("does not fit an input of shape {}", op.shape(x).to_string()));
  }
  const std::size_t added = shape.size() - op.rank(x);
  std::vector<std::int64_t> dims(added, 1);
  for (std::size_t i = added; i < shape.size(); ++i) {
    const std::int64_t own = op.shape(x)[i - added];
    if (shape[i] < -1 ||
        (own != 1 && own != Shape::kUnknown && shape[i] != -1 && own != shape[i])) {
      op.invalid("shape",
                 fmt::format("does not fit an input of shape {}", op.shape(x).to_string()));
    }
    dims.push_back(own == Shape::kUnknown && shape[i] >= 0 ? shape[i] : Reshape::copy(i - added));
  }
  x = op.reshape(std::move(dims), x);
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (op.shape(x)[i] != 1 || shape[i] == 1 || shape[i] == -1) continue;
    x = op.ops().append(program::Tile{.axis = static_cast<std::int64_t>(i), .times = shape[i]},
                        {x});
  }
  op.output(x);
}

// [before, after] for each axis; one number or pair stands for all.
std::vector<std::pair<std::int64_t, std::int64_t>> pad_widths(Operation& op, std::size_t rank) {
  const boost::json::value* value = op.arguments().find("pad_width");
  const auto number = [&](const boost::json::value& entry) {
    if (!entry.is_int64() || entry.get_int64() < 0 || entry.get_int64() > program::kMaxDimension) {
      op.invalid("pad_width", "has an entry that is no size");
    }
    return entry.get_int64();
  };
  const auto pair = [&](const boost::json::value& entry) {
    const boost::json::array* array = entry.if_array();
    if (array == nullptr) return std::pair(number(entry), number(entry));
    if (array->size() == 1) return std::pair(number((*array)[0]), number((*array)[0]));
    if (array->size() != 2) op.invalid("pad_width", "has an entry that is not a pair");
    return std::pair(number((*array)[0]), number((*array)[1]));
  };
  if (value == nullptr) op.invalid("pad_width", "is missing");
  const boost::json::array* array = value->if_array();
  if (array == nullptr || (array->size() == 2 && !(*array)[0].is_array())) {
    return {rank, pair(*value)};
  }
  std::vector<std::pair<std::int64_t, std::int64_t>> widths;
  for (const boost::json::value& entry : *array) widths.push_back(pair(entry));
  if (widths.size() == 1) widths.resize(rank, widths.front());
  if (widths.size() != rank) op.invalid("pad_width", fmt::format("has not {} entries", rank));
  return widths;
}

// What stands before and after the elements of an axis that are mirrored at its ends.
ValueId mirrored(Operation& op, ValueId x, std::size_t axis,
                 std::pair<std::int64_t, std::int64_t> width, bool repeats_edge) {
  if (width.first == 0 && width.second == 0) return x;
  const std::int64_t size = op.known_size(x, axis);
  const std::int64_t skip = repeats_edge ? 0 : 1;
  if (width.first > size - skip || width.second > size - skip) {
    op.unsupported("pad_width", "more is mirrored than there is");
  }
  const auto taken = [&](std::int64_t begin, std::int64_t count) {
    // Downwards from `begin`.
    std::optional<std::int64_t> end;
    if (begin - count >= 0) end = begin - count;
    return op.ops().append(
        program::Slice{
            .axis = static_cast<std::int64_t>(axis), .begin = begin, .end = end, .step = -1},
        {x});
  };
  std::vector<ValueId> parts{x};
  if (width.first > 0) parts.insert(parts.begin(), taken(width.first - 1 + skip, width.first));
  if (width.second > 0) parts.push_back(taken(size - 1 - skip, width.second));
  return concatenated(op, std::move(parts), axis);
}

void lower_pad(Operation& op) {
  ValueId x = op.tensor("x");
  const auto widths = pad_widths(op, op.rank(x));
  const std::string mode = op.arguments().text("mode", "constant");
  if (mode == "constant" || mode == "CONSTANT") {
    program::Pad pad;
    pad.value = static_cast<float>(op.arguments().number("constant_values", 0));
    for (const auto& [before, after] : widths) {
      pad.before.push_back(before);
      pad.after.push_back(after);
    }
    op.output(op.ops().append(std::move(pad), {x}));
    return;
  }
  if (mode != "reflect" && mode != "symmetric") {
    op.unsupported("mode", fmt::format("kerf does not know the mode '{}'", mode));
  }
  for (std::size_t i = 0; i < widths.size(); ++i) {
    x = mirrored(op, x, i, widths[i], mode == "symmetric");
  }
  op.output(x);
}

}  // namespace

void register_shapes(Registry& registry);
void register_shapes(Registry& registry) {
  add_operations(registry, {"Reshape"}, {"x"}, {"newshape"}, lower_reshape);
  add_operations(registry, {"Ravel"}, {"x"}, {}, lower_ravel);
  add_operations(registry, {"Transpose"}, {"x"}, {"axes"}, lower_transpose);
  add_operations(registry, {"Swapaxes"}, {"x"}, {"axis1", "axis2"}, lower_swapaxes);
  add_operations(registry, {"Moveaxis"}, {"x"}, {"source", "destination"}, lower_moveaxis);
  add_operations(registry, {"ExpandDims"}, {"x"}, {"axis"}, lower_expand_dims);
  add_operations(registry, {"Squeeze"}, {"x"}, {"axis"}, lower_squeeze);
  add_operations(registry, {"Flip"}, {"x"}, {"axis"}, lower_flip);
  add_operations(registry, {"Roll"}, {"x"}, {"shift", "axis"}, lower_roll);
  add_operations(registry, {"Concatenate"}, {"xs"}, {"axis"}, lower_concatenate);
  add_operations(registry, {"Stack"}, {"xs"}, {"axis"}, lower_stack);
  add_operations(registry, {"Split", "ArraySplit"}, {"x"}, {"indices_or_sections", "axis"},
                 lower_split);
  add_operations(registry, {"Hsplit", "Vsplit", "Dsplit"}, {"x"}, {"indices_or_sections"},
                 lower_split);
  add_operations(registry, {"Hstack", "Vstack", "Dstack", "ColumnStack"}, {"xs"}, {},
                 lower_named_stack);
  add_operations(registry, {"Append"}, {"x1", "x2"}, {"axis"}, lower_append);
  add_operations(registry, {"Rot90"}, {"array"}, {"k", "axes"}, lower_rot90);
  add_operations(registry, {"Fliplr", "Flipud"}, {"x"}, {}, lower_named_flip);
  add_operations(registry, {"Unstack"}, {"x"}, {"num", "axis"}, lower_unstack);
  add_operations(registry, {"Tile"}, {"x"}, {"repeats"}, lower_tile);
  add_operations(registry, {"Repeat"}, {"x"}, {"repeats", "axis"}, lower_repeat);
  add_operations(registry, {"BroadcastTo"}, {"x"}, {"shape"}, lower_broadcast_to);
  add_operations(registry, {"Pad"}, {"x", "constant_values"}, {"pad_width", "mode"}, lower_pad);
}

}  // namespace kerf::layers
