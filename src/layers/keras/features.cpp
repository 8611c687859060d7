#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cmath>

#include "layers/categories.h"
#include "layers/registry.h"

// Layers that turn raw features into numbers: Rescaling, Normalization, Discretization,
// CategoryEncoding.
namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Binary;
using program::Reshape;

// Appends the numbers of nested arrays to `numbers`; `shape` is that of the first at each depth.
void collect(const Config& config, std::string_view key, const json::value& value,
             std::size_t depth, Shape& shape, std::vector<float>& numbers) {
  const json::array* array = value.if_array();
  if (array == nullptr) {
    boost::system::error_code error;
    if (!value.is_number() || depth != shape.rank()) config.invalid(key, "is no array of numbers");
    numbers.push_back(static_cast<float>(value.to_number<double>(error)));
    return;
  }
  if (depth == Shape::kMaxRank) config.invalid(key, "has too many dimensions");
  const auto size = static_cast<std::int64_t>(array->size());
  if (depth == shape.rank() && numbers.empty()) shape.push_back(size);
  if (depth >= shape.rank() || shape[depth] != size) config.invalid(key, "is no regular array");
  for (const json::value& entry : *array) collect(config, key, entry, depth + 1, shape, numbers);
}

// A number or an array of them, written as such or as Keras writes NumPy arrays and tensors.
Tensor numbers_of(const Config& config, std::string_view key) {
  const json::value* value = config.find(key);
  if (value == nullptr) config.invalid(key, "is missing");
  if (const json::object* object = value->if_object()) {
    const json::value* inner = object->if_contains("config");
    value =
        inner != nullptr && inner->is_object() ? inner->get_object().if_contains("value") : nullptr;
    if (value == nullptr) config.invalid(key, "is no array of numbers");
  }
  Shape shape;
  std::vector<float> numbers;
  collect(config, key, *value, 0, shape, numbers);
  return Tensor::floats(shape, numbers);
}

// `x` op `numbers`, which must not widen x.
ValueId combined(LayerCall& call, Binary::Kind kind, ValueId x, ValueId numbers,
                 std::string_view key) {
  const Shape before = call.shape(x);
  const ValueId y = call.ops().append(Binary{kind}, {x, numbers});
  if (call.shape(y).rank() != before.rank()) call.config().invalid(key, "has too many dimensions");
  return y;
}

void lower_rescaling(LayerCall& call) {
  const Config& config = call.config();
  const ValueId scale = call.ops().constant(numbers_of(config, "scale"));
  const ValueId offset =
      config.has("offset") ? call.ops().constant(numbers_of(config, "offset")) : call.scalar(0);
  const ValueId scaled =
      combined(call, Binary::Kind::kMultiply, call.float_input(), scale, "scale");
  call.output_passing_mask(combined(call, Binary::Kind::kAdd, scaled, offset, "offset"));
}

// max(sqrt(variance), 1e-7).
Tensor deviation(std::span<const Tensor> sources, double) {
  const auto variance = sources[0].as<float>();
  std::vector<float> result(variance.size());
  for (std::size_t i = 0; i < result.size(); ++i) {
    result[i] = std::max(std::sqrt(variance[i]), 1e-7F);
  }
  return Tensor::floats(sources[0].shape(), result);
}

// The axes that Normalization keeps apart: -1 where nothing is said, none where null is.
std::vector<std::size_t> kept_axes(LayerCall& call, std::size_t rank) {
  const Config& config = call.config();
  const json::value* written = call.layer().config.if_contains("axis");
  std::vector<std::int64_t> axes{-1};
  if (written != nullptr && written->is_null()) axes.clear();
  if (config.has("axis")) axes = config.integers("axis");
  std::vector<std::size_t> kept;
  for (const std::int64_t axis : axes) {
    const std::int64_t positive = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
    if (positive < 1 || positive >= static_cast<std::int64_t>(rank)) {
      config.invalid("axis", fmt::format("{} is not an axis to keep", axis));
    }
    kept.push_back(static_cast<std::size_t>(positive));
  }
  std::ranges::sort(kept);
  return kept;
}

void lower_normalization(LayerCall& call) {
  const Config& config = call.config();
  const ValueId x = call.float_input();
  const std::size_t rank = call.shape(x).rank();
  const std::vector<std::size_t> kept = kept_axes(call, rank);
  // Statistics have the kept axes' shape, and stand beside the input with ones between.
  Shape shape;
  std::vector<std::int64_t> dims(kept.empty() ? 0 : rank - kept.front(), 1);
  for (const std::size_t axis : kept) {
    const std::int64_t size = call.shape(x)[axis];
    if (size < 1) config.unsupported("axis", fmt::format("axis {} has no known size", axis));
    shape.push_back(size);
    dims[axis - kept.front()] = size;
  }
  const auto spread = [&](ValueId value) {
    return dims.size() == kept.size() ? value : call.ops().append(Reshape{dims}, {value});
  };
  ValueId mean;
  ValueId divisor;
  const bool given = config.has("mean");
  if (given != config.has("variance")) {
    config.invalid("mean", "is given without a variance, or a variance without it");
  }
  if (given) {
    // What has fewer axes than are kept belongs to the last of these.
    const auto constant = [&](Tensor tensor) {
      const Shape own = tensor.shape();
      const ValueId value = call.ops().constant(std::move(tensor));
      if (own.rank() == 0 || own.rank() > kept.size()) return value;
      std::vector<std::int64_t> placed(dims.size(), 1);
      for (std::size_t i = 1; i <= own.rank(); ++i) {
        placed[kept[kept.size() - i] - kept.front()] = own[own.rank() - i];
      }
      return call.ops().append(Reshape{std::move(placed)}, {value});
    };
    const Tensor variance = numbers_of(config, "variance");
    mean = constant(numbers_of(config, "mean"));
    divisor = constant(deviation({&variance, 1}, 0));
  } else {
    const ValueId stored_mean = call.weight("mean", shape, false);
    const ValueId variance = call.weight("variance", shape, false);
    call.weight("count", {}, false);
    mean = spread(stored_mean);
    divisor = spread(call.derived("deviation", {variance}, shape, deviation, 0));
  }
  if (config.boolean("invert", false)) {
    const ValueId scaled = combined(call, Binary::Kind::kMultiply, x, divisor, "variance");
    call.output_passing_mask(combined(call, Binary::Kind::kAdd, scaled, mean, "mean"));
  } else {
    const ValueId centred = combined(call, Binary::Kind::kSubtract, x, mean, "mean");
    call.output_passing_mask(combined(call, Binary::Kind::kDivide, centred, divisor, "variance"));
  }
}

void lower_category_encoding(LayerCall& call) {
  const Config& config = call.config();
  // TensorFlow 2.3 to 2.5 had other names.
  const char* const key = config.has("num_tokens") ? "num_tokens" : "max_tokens";
  const ValueId ids = call.ops().append(program::Cast{DType::kInt64}, {call.input()});
  call.output(
      encode_categories(call, ids, config.text("output_mode", "multi_hot"), config.size(key), key));
}

void lower_discretization(LayerCall& call) {
  const Config& config = call.config();
  const char* const key = config.has("bin_boundaries") ? "bin_boundaries" : "bins";
  if (!config.has(key)) config.invalid("bin_boundaries", "is missing: the layer was not adapted");
  const Tensor boundaries = numbers_of(config, key);
  if (boundaries.shape().rank() != 1) config.invalid(key, "is no list of numbers");
  const std::string mode = config.text("output_mode", "int");
  program::ProgramBuilder& ops = call.ops();
  // The boundaries that are not above x.
  const ValueId below =
      ops.append(Binary{Binary::Kind::kLess},
                 {with_last_axis(call, call.float_input()), ops.constant(boundaries)});
  const ValueId passed = ops.append(program::Not{}, {below});
  const bool integers = mode == "int";
  // Of int32 in Keras 3, of int64 in Keras 2.
  const DType dtype = integers && call.layer().keras_major >= 3 ? DType::kInt32 : DType::kInt64;
  const auto last = static_cast<std::int64_t>(call.shape(passed).rank()) - 1;
  const ValueId bin = ops.append(program::Reduce{program::Reduce::Kind::kSum, {last}, false},
                                 {ops.append(program::Cast{dtype}, {passed})});
  call.output(
      integers ? bin
               : encode_categories(call, bin, mode, boundaries.shape()[0] + 1, "bin_boundaries"));
}

}  // namespace

void register_features(Registry& registry);
void register_features(Registry& registry) {
  registry.add({.class_name = "Rescaling", .lower = lower_rescaling});
  registry.add({.class_name = "Normalization",
                .lower = lower_normalization,
                .refuses = {{"axis", "one of unknown size"}}});
  registry.add({.class_name = "CategoryEncoding",
                .lower = lower_category_encoding,
                .refuses = {{"num_tokens", "above 16 million"}}});
  registry.add({.class_name = "Discretization", .lower = lower_discretization});
}

}  // namespace kerf::layers
