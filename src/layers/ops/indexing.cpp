#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <numeric>
#include <string_view>

#include "layers/operation.h"

// Operations that pick elements by their place.
namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Binary;
using program::Reshape;

std::string_view class_of(const json::value& item) {
  const json::object* object = item.if_object();
  const json::value* name = object == nullptr ? nullptr : object->if_contains("class_name");
  return name != nullptr && name->is_string() ? std::string_view(name->get_string())
                                              : std::string_view();
}

// x with `axis` replaced by the axes of `ids`, each of which names a place on it.
ValueId taken(Operation& op, ValueId x, std::size_t axis, ValueId ids) {
  const std::size_t rank = op.rank(x);
  const std::size_t ids_rank = op.rank(ids);
  if (rank - 1 + ids_rank > Shape::kMaxRank) {
    op.unsupported("axis", "the result has too many dimensions");
  }
  // Negative places count from the end.
  const std::int64_t size = op.shape(x)[axis];
  ids = op.cast(op.dtype(ids) == DType::kInt64 ? DType::kInt64 : DType::kInt32, ids);
  if (size != Shape::kUnknown) {
    const DType dtype = op.dtype(ids);
    const ValueId negative = op.binary(Binary::Kind::kLess, ids, op.number(0, dtype));
    const ValueId wrapped =
        op.binary(Binary::Kind::kAdd, ids, op.number(static_cast<double>(size), dtype));
    ids = op.ops().append(program::Select{}, {negative, wrapped, ids});
  }
  // A table of one row for each place.
  std::vector<std::int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  permutation.erase(permutation.begin() + static_cast<std::ptrdiff_t>(axis));
  permutation.insert(permutation.begin(), static_cast<std::int64_t>(axis));
  const ValueId table = op.transpose(std::move(permutation), x);
  const ValueId rows = op.reshape({Reshape::copy(0), Reshape::kInfer}, table);
  ValueId y = op.ops().append(program::Gather{}, {ids, rows});
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < ids_rank; ++i) dims.push_back(Reshape::copy(i));
  for (std::size_t i = 1; i < rank; ++i) {
    const std::int64_t dim = op.shape(table)[i];
    dims.push_back(dim == Shape::kUnknown ? Reshape::like(i) : dim);
  }
  y = op.reshape_like(std::move(dims), y, table);
  // The new axes go where the old one was.
  std::vector<std::int64_t> back;
  for (std::size_t i = 0; i < axis; ++i) back.push_back(static_cast<std::int64_t>(ids_rank + i));
  for (std::size_t i = 0; i < ids_rank; ++i) back.push_back(static_cast<std::int64_t>(i));
  for (std::size_t i = axis + 1; i < rank; ++i) {
    back.push_back(static_cast<std::int64_t>(ids_rank + i - 1));
  }
  return op.transpose(std::move(back), y);
}

void lower_take(Operation& op) {
  std::size_t axis = 0;
  const ValueId x = op.along(op.tensor("x"), axis);
  op.output(taken(op, x, axis, op.tensor("indices")));
}

// The items of x[key], brought into the order of the axes of x.
class Key {
 public:
  Key(Operation& op, ValueId x) : op_(op), x_(x) {
    const json::value* key = op.arguments().find("key");
    static const json::value kNewAxis;
    if (key == nullptr) key = &kNewAxis;  // x[None]
    if (const json::array* array = key->if_array()) {
      for (const json::value& item : *array) items_.push_back(&item);
    } else {
      items_.push_back(key);
    }
    std::size_t named = 0;
    std::size_t ellipses = 0;
    for (const json::value* item : items_) {
      const bool ellipsis = class_of(*item) == "__ellipsis__";
      ellipses += ellipsis ? 1 : 0;
      named += ellipsis || item->is_null() ? 0 : 1;
    }
    if (named > op.rank(x) || ellipses > 1) {
      op.invalid("key", fmt::format("does not fit {} dimensions", op.rank(x)));
    }
    skipped_ = op.rank(x) - named;
  }

  ValueId apply() {
    for (const json::value* item : items_) {
      if (item->is_null()) {
        dims_.push_back(1);
      } else if (class_of(*item) == "__ellipsis__") {
        for (std::size_t i = 0; i < skipped_; ++i) dims_.push_back(Reshape::copy(axis_++));
      } else if (class_of(*item) == "__slice__") {
        slice(item->get_object());
      } else if (item->is_int64()) {
        index(item->get_int64());
      } else {
        take(*item);
      }
    }
    while (axis_ < op_.rank(x_)) dims_.push_back(Reshape::copy(axis_++));
    if (dims_.size() > Shape::kMaxRank) op_.unsupported("key", "there are too many dimensions");
    bool same = dims_.size() == op_.rank(x_);
    for (std::size_t i = 0; same && i < dims_.size(); ++i) same = dims_[i] == Reshape::copy(i);
    return same ? x_ : op_.reshape(dims_, x_);
  }

 private:
  void slice(const json::object& item) {
    const json::value* config = item.if_contains("config");
    program::Slice slice{.axis = static_cast<std::int64_t>(axis_)};
    const auto bound = [&](const char* name) -> std::optional<std::int64_t> {
      const json::value* value = config != nullptr && config->is_object()
                                     ? config->get_object().if_contains(name)
                                     : nullptr;
      if (value == nullptr || value->is_null()) return std::nullopt;
      if (!value->is_int64()) op_.unsupported("key", "a bound of a slice is no integer");
      return value->get_int64();
    };
    slice.begin = bound("start");
    slice.end = bound("stop");
    slice.step = bound("step").value_or(1);
    if (slice.begin || slice.end || slice.step != 1) x_ = op_.ops().append(slice, {x_});
    dims_.push_back(Reshape::copy(axis_++));
  }

  void index(std::int64_t at) {
    const std::int64_t size = op_.shape(x_)[axis_];
    if (size != Shape::kUnknown && (at >= size || at < -size)) {
      op_.invalid("key", fmt::format("the index {} is outside an axis of {}", at, size));
    }
    std::optional<std::int64_t> end;
    if (at != -1) end = at + 1;
    x_ = op_.ops().append(
        program::Slice{.axis = static_cast<std::int64_t>(axis_), .begin = at, .end = end}, {x_});
    ++axis_;
  }

  // One list or tensor of places; NumPy's rules for several are not kerf's.
  void take(const json::value& item) {
    if (taken_) op_.unsupported("key", "it holds more than one list or tensor of places");
    for (const json::value* other : items_) {
      if (other->is_int64()) op_.unsupported("key", "it mixes a list of places with an index");
    }
    taken_ = true;
    const ValueId ids = op_.part("key", item);
    if (op_.dtype(ids) == DType::kBool) op_.unsupported("key", "it selects by a mask");
    const std::size_t count = op_.rank(ids);
    x_ = taken(op_, x_, axis_, ids);
    for (std::size_t i = 0; i < count; ++i) dims_.push_back(Reshape::copy(axis_++));
  }

  Operation& op_;
  ValueId x_;
  std::vector<const json::value*> items_;
  std::size_t skipped_ = 0;  // axes that an ellipsis stands for
  std::size_t axis_ = 0;     // the next of x_
  std::vector<std::int64_t> dims_;
  bool taken_ = false;
};

void lower_get_item(Operation& op) { op.output(Key(op, op.tensor("x")).apply()); }

// Blocks of a size that start at literal places.
void lower_slice(Operation& op) {
  ValueId x = op.tensor("inputs");
  const std::vector<std::int64_t> starts = op.arguments().integers("start_indices");
  const std::vector<std::int64_t> sizes = op.arguments().integers("shape");
  if (starts.size() != op.rank(x) || sizes.size() != op.rank(x)) {
    op.invalid("shape", "does not fit the input's dimensions");
  }
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    program::Slice slice{.axis = static_cast<std::int64_t>(i), .begin = starts[i], .end = {}};
    if (sizes[i] >= 0) slice.end = starts[i] + sizes[i];
    if (starts[i] < 0) op.unsupported("start_indices", "a block starts before the tensor");
    x = op.ops().append(slice, {x});
  }
  op.output(x);
}

// Ids as rows with a one in the place that the id names, zeros elsewhere.
ValueId one_hot(Operation& op, ValueId ids, std::size_t axis, DType dtype) {
  const std::int64_t classes = op.arguments().size("num_classes");
  constexpr std::int64_t kMost = std::int64_t{1} << 24;
  if (classes > kMost) op.unsupported("num_classes", fmt::format("there are {} of them", classes));
  std::vector<std::int32_t> places(static_cast<std::size_t>(classes));
  std::iota(places.begin(), places.end(), 0);
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < op.rank(ids); ++i) dims.push_back(Reshape::copy(i));
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  Shape shape;
  for (std::size_t i = 0; i < dims.size(); ++i) shape.push_back(i == axis ? classes : 1);
  const ValueId spread = op.reshape(std::move(dims), op.cast(DType::kInt32, ids));
  const ValueId all = op.ops().constant(Tensor::of<std::int32_t>(DType::kInt32, shape, places));
  return op.cast(dtype, op.binary(Binary::Kind::kEqual, spread, all));
}

void lower_one_hot(Operation& op) {
  const ValueId ids = op.tensor("x");
  if (op.rank(ids) == Shape::kMaxRank) op.unsupported("x", "it has too many dimensions");
  const std::size_t axis = op.axis("axis", -1, op.rank(ids) + 1);
  op.output(one_hot(op, ids, axis, op.dtype_of("dtype", DType::kFloat32)));
}

// The classes that occur among the ids of each sample.
void lower_multi_hot(Operation& op) {
  const ValueId ids = op.tensor("inputs");
  if (op.rank(ids) == 0 || op.rank(ids) == Shape::kMaxRank) {
    op.invalid("inputs", fmt::format("has the shape {}", op.shape(ids).to_string()));
  }
  const std::size_t axis = op.axis("axis", -1, op.rank(ids) + 1);
  const std::int64_t reduced = op.rank(ids) > 1 ? 1 : 0;
  const ValueId hot = one_hot(op, ids, axis, DType::kBool);
  op.output(op.cast(op.dtype_of("dtype", DType::kFloat32),
                    op.reduce(program::Reduce::Kind::kAny, {reduced}, false, hot)));
}

}  // namespace

void register_indexing(Registry& registry);
void register_indexing(Registry& registry) {
  add_operations(registry, {"Take"}, {"x", "indices"}, {"axis"}, lower_take);
  add_operations(registry, {"GetItem"}, {"x", "key"}, {}, lower_get_item);
  add_operations(registry, {"Slice"}, {"inputs", "start_indices"}, {"shape"}, lower_slice);
  add_operations(registry, {"OneHot"}, {"x"}, {"num_classes", "axis", "dtype", "sparse"},
                 lower_one_hot);
  add_operations(registry, {"MultiHot"}, {"inputs"}, {"num_classes", "axis", "dtype", "sparse"},
                 lower_multi_hot);
}

}  // namespace kerf::layers
