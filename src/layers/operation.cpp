#include "layers/operation.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "kerf/error.h"
#include "layers/base_call.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Binary;
using program::Reduce;
using program::Reshape;

std::optional<std::size_t> tensor_index(const json::value& value) {
  const json::object* object = value.if_object();
  const json::value* tensor = object == nullptr ? nullptr : object->if_contains("tensor");
  if (tensor == nullptr || !tensor->is_number()) return std::nullopt;
  return tensor->to_number<std::size_t>();
}

// {"class_name": "__numpy__" | "__tensor__", "config": {"value": [...], "dtype": ...}}.
const json::object* array_object(const json::value& value) {
  const json::object* object = value.if_object();
  const json::value* name = object == nullptr ? nullptr : object->if_contains("class_name");
  if (name == nullptr || !name->is_string()) return nullptr;
  if (name->get_string() != "__numpy__" && name->get_string() != "__tensor__") return nullptr;
  const json::value* config = object->if_contains("config");
  return config == nullptr ? nullptr : config->if_object();
}

std::optional<double> plain_number(const json::value& value) {
  if (value.is_number()) return value.to_number<double>();
  if (value.is_bool()) return value.get_bool() ? 1 : 0;
  if (!value.is_string()) return std::nullopt;
  const std::string_view text = value.get_string();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

// Nested lists of numbers, row-major.
struct Numbers {
  Shape shape;
  std::vector<double> values;
  bool floats = false;
  bool bools = true;

  // False where the lists are no array.
  bool read(const json::value& value, std::size_t depth = 0) {
    const json::array* array = value.if_array();
    if (array == nullptr) {
      const auto number = plain_number(value);
      if (!number || depth != shape.rank()) return false;
      floats = floats || value.is_double() || value.is_string();
      bools = bools && value.is_bool();
      values.push_back(*number);
      return true;
    }
    const auto size = static_cast<std::int64_t>(array->size());
    if (depth == shape.rank()) {
      if (!values.empty() || depth == Shape::kMaxRank) return false;
      shape.push_back(size);
    }
    if (shape[depth] != size) return false;
    return std::ranges::all_of(*array, [&](const json::value& v) { return read(v, depth + 1); });
  }
  DType dtype() const {
    if (values.empty() || floats) return DType::kFloat32;
    return bools ? DType::kBool : DType::kInt32;
  }
  Tensor tensor(DType type) const {
    return Tensor::of<double>(DType::kFloat64, shape, values).cast(type);
  }
};

// How far a type is up Keras' lattice of those that kerf computes in.
int order(DType dtype) {
  return dtype == DType::kBool ? 0 : dtype == DType::kInt32 ? 1 : dtype == DType::kInt64 ? 2 : 3;
}

}  // namespace

DType computed_dtype(DType dtype) noexcept {
  if (dtype == DType::kBool || dtype == DType::kInt64 || dtype == DType::kString) return dtype;
  if (!is_integer(dtype)) return DType::kFloat32;
  return dtype == DType::kUInt32 || dtype == DType::kUInt64 ? DType::kInt64 : DType::kInt32;
}

std::optional<DType> computed_dtype(std::string_view name) {
  const auto dtype = dtype_from_name(name);
  if (!dtype || *dtype == DType::kString) return std::nullopt;
  return computed_dtype(*dtype);
}

// A tensor, or what the file holds in its place.
struct Operation::Argument {
  std::optional<ValueId> value;
  std::optional<Numbers> numbers;
  std::optional<DType> dtype;  // absent for a plain Python number, which bends to the others
};

Operation::Operation(LayerCall& call, const std::vector<std::string_view>& parameters,
                     const std::vector<std::string_view>& options)
    : call_(call), config_(bound_, call.config().where()) {
  const auto bind = [&](std::string_view name, const json::value& value) {
    const bool known = std::ranges::find(parameters, name) != parameters.end() ||
                       std::ranges::find(options, name) != options.end();
    if (known) {
      bound_[name] = value;
    } else if (!value.is_null() && value != json::value(false) && name != "name") {
      config_.unsupported(name, "kerf does not know this argument");
    }
  };
  for (const auto& entry : call.layer().config) bind(entry.key(), entry.value());
  const json::value* args = call.arguments().if_contains("args");
  const json::value* kwargs = call.arguments().if_contains("kwargs");
  if (kwargs != nullptr && kwargs->is_object()) {
    for (const auto& entry : kwargs->get_object()) bind(entry.key(), entry.value());
  }
  if (args == nullptr || !args->is_array()) return;
  const json::array& array = args->get_array();
  for (std::size_t i = 0; i < array.size(); ++i) {
    if (!parameters.empty() && parameters.back().starts_with('*') && i + 1 >= parameters.size()) {
      bound_[parameters.back()] =
          json::array(array.begin() + static_cast<std::ptrdiff_t>(i), array.end());
      return;
    }
    if (i < parameters.size()) {
      bound_[parameters[i]] = array[i];
    } else if (!array[i].is_null()) {
      config_.unsupported("args", fmt::format("it is called with {} arguments", array.size()));
    }
  }
}

Operation::Argument Operation::read(std::string_view name, const json::value& value) const {
  Argument argument;
  if (const auto index = tensor_index(value)) {
    argument.value = call_.argument_tensor(*index);
    argument.dtype = call_.type(*argument.value).dtype;
    return argument;
  }
  const json::object* array = array_object(value);
  const json::value* values = array == nullptr ? &value : array->if_contains("value");
  Numbers numbers;
  if (values == nullptr || !numbers.read(*values)) {
    config_.invalid(name, "is neither a tensor nor an array of numbers");
  }
  if (array != nullptr) {
    const json::value* dtype = array->if_contains("dtype");
    const auto known = dtype != nullptr && dtype->is_string()
                           ? computed_dtype(std::string_view(dtype->get_string()))
                           : std::optional(numbers.dtype());
    if (!known) config_.invalid(name, "is an array of no known dtype");
    argument.dtype = known;
  } else if (value.is_array()) {
    argument.dtype = numbers.dtype();
  }
  argument.numbers = std::move(numbers);
  return argument;
}

ValueId Operation::tensor(std::string_view name) {
  const json::value* value = config_.find(name);
  if (value == nullptr) config_.invalid(name, "is missing");
  return part(name, *value);
}

ValueId Operation::part(std::string_view name, const json::value& value) {
  return unified({read(name, value)}, false).front();
}

std::vector<ValueId> Operation::promoted(std::initializer_list<std::string_view> names,
                                         bool floats_only) {
  std::vector<Argument> arguments;
  for (const std::string_view name : names) {
    const json::value* value = config_.find(name);
    if (value == nullptr) config_.invalid(name, "is missing");
    arguments.push_back(read(name, *value));
  }
  return unified(arguments, floats_only);
}

std::vector<ValueId> Operation::promoted_list(std::string_view name) {
  const json::value* value = config_.find(name);
  if (value == nullptr) config_.invalid(name, "is missing");
  std::vector<Argument> arguments;
  if (const json::array* array = value->if_array()) {
    for (const json::value& entry : *array) arguments.push_back(read(name, entry));
  } else {
    arguments.push_back(read(name, *value));
  }
  if (arguments.empty()) config_.invalid(name, "is an empty list");
  return unified(arguments, false);
}

std::vector<ValueId> Operation::unified(const std::vector<Argument>& arguments, bool floats_only) {
  std::optional<DType> common;
  const auto raise = [&](DType dtype) {
    if (!common || order(dtype) > order(*common)) common = dtype;
  };
  for (const Argument& argument : arguments) {
    if (argument.dtype) raise(*argument.dtype);
  }
  for (const Argument& argument : arguments) {
    if (!argument.dtype) raise(argument.numbers->dtype());
  }
  if (floats_only) common = DType::kFloat32;
  std::vector<ValueId> values;
  for (const Argument& argument : arguments) {
    values.push_back(argument.value ? cast(*common, *argument.value)
                                    : ops().constant(argument.numbers->tensor(*common)));
  }
  return values;
}

std::optional<Tensor> Operation::literal(std::string_view name) const {
  const json::value* value = config_.find(name);
  if (value == nullptr || tensor_index(*value)) return std::nullopt;
  const Argument argument = read(name, *value);
  return argument.numbers->tensor(argument.dtype.value_or(argument.numbers->dtype()));
}

std::size_t Operation::axis_at(std::string_view name, std::int64_t axis, std::size_t rank) const {
  const auto count = static_cast<std::int64_t>(rank);
  const std::int64_t positive = axis < 0 ? axis + count : axis;
  if (positive < 0 || positive >= count) {
    config_.invalid(name, fmt::format("names the axis {} of {}", axis, rank));
  }
  return static_cast<std::size_t>(positive);
}

std::size_t Operation::axis(std::string_view name, std::int64_t fallback, std::size_t rank) const {
  return axis_at(name, config_.integer(name, fallback), rank);
}

std::vector<std::int64_t> Operation::axes(std::string_view name, std::size_t rank) const {
  std::vector<std::int64_t> result;
  if (!has(name)) {
    for (std::size_t i = 0; i < rank; ++i) result.push_back(static_cast<std::int64_t>(i));
    return result;
  }
  for (const std::int64_t axis : config_.integers(name)) {
    result.push_back(static_cast<std::int64_t>(axis_at(name, axis, rank)));
  }
  std::ranges::sort(result);
  if (std::ranges::adjacent_find(result) != result.end()) {
    config_.invalid(name, "names an axis twice");
  }
  return result;
}

ValueId Operation::along(ValueId x, std::size_t& axis, std::optional<std::int64_t> fallback) {
  const bool written = bound_.contains("axis");
  if (has("axis") || (fallback && !written)) {
    axis = this->axis("axis", fallback.value_or(0), rank(x));
    return x;
  }
  axis = 0;
  return rank(x) == 1 ? x : reshape({program::Reshape::kInfer}, x);
}

std::int64_t Operation::known_size(ValueId x, std::size_t axis) {
  const std::int64_t size = shape(x)[axis];
  if (size == Shape::kUnknown) {
    config_.unsupported("axis", fmt::format("the size of the axis {} of {} must be known", axis,
                                            shape(x).to_string()));
  }
  return size;
}

DType Operation::dtype_of(std::string_view name, DType fallback) const {
  if (!has(name)) return fallback;
  const std::string text = config_.text(name, "");
  const auto dtype = computed_dtype(text);
  if (!dtype) config_.unsupported(name, fmt::format("the dtype '{}'", text));
  return *dtype;
}

ValueId Operation::binary(Binary::Kind kind, ValueId a, ValueId b) {
  return ops().append(Binary{kind}, {a, b});
}

ValueId Operation::unary(program::Activation function, ValueId x) {
  return call_.activated(x, function);
}

ValueId Operation::reduce(Reduce::Kind kind, std::vector<std::int64_t> axes, bool keep, ValueId x) {
  return ops().append(Reduce{kind, std::move(axes), keep}, {x});
}

ValueId Operation::reshape(std::vector<std::int64_t> dims, ValueId x) {
  return ops().append(Reshape{std::move(dims)}, {x});
}

ValueId Operation::reshape_like(std::vector<std::int64_t> dims, ValueId x, ValueId like) {
  const bool lends =
      std::ranges::any_of(dims, [](std::int64_t dim) { return Reshape::lent(dim).has_value(); });
  return lends ? ops().append(Reshape{std::move(dims)}, {x, like}) : reshape(std::move(dims), x);
}

ValueId Operation::transpose(std::vector<std::int64_t> permutation, ValueId x) {
  for (std::size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<std::int64_t>(i)) {
      return ops().append(program::Transpose{std::move(permutation)}, {x});
    }
  }
  return x;
}

ValueId Operation::slice(ValueId x, std::size_t axis, std::optional<std::int64_t> begin,
                         std::optional<std::int64_t> end, std::int64_t step) {
  return ops().append(
      program::Slice{
          .axis = static_cast<std::int64_t>(axis), .begin = begin, .end = end, .step = step},
      {x});
}

ValueId Operation::concat(std::vector<ValueId> values, std::size_t axis) {
  if (values.size() == 1) return values.front();
  return ops().append(program::Concat{static_cast<std::int64_t>(axis)}, std::move(values));
}

ValueId Operation::without_axis(ValueId x, std::size_t axis) {
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < rank(x); ++i) {
    if (i != axis) dims.push_back(Reshape::copy(i));
  }
  return reshape(std::move(dims), x);
}

ValueId Operation::with_axis(ValueId x, std::size_t axis) {
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < rank(x); ++i) dims.push_back(Reshape::copy(i));
  dims.insert(dims.begin() + static_cast<std::ptrdiff_t>(axis), 1);
  if (dims.size() > Shape::kMaxRank) unsupported("axis", "there are too many dimensions");
  return reshape(std::move(dims), x);
}

ValueId Operation::swapped(ValueId x, std::size_t a, std::size_t b) {
  std::vector<std::int64_t> permutation(rank(x));
  std::iota(permutation.begin(), permutation.end(), 0);
  std::swap(permutation[a], permutation[b]);
  return transpose(std::move(permutation), x);
}

ValueId Operation::select(ValueId condition, ValueId a, ValueId b) {
  return ops().append(program::Select{}, {condition, a, b});
}

ValueId Operation::cast(DType to, ValueId x) {
  return dtype(x) == to ? x : ops().append(program::Cast{to}, {x});
}

ValueId Operation::to_bool(ValueId x) {
  if (dtype(x) == DType::kBool) return x;
  return binary(Binary::Kind::kNotEqual, x, number(0, dtype(x)));
}

ValueId Operation::number(double value, DType dtype) {
  return ops().constant(
      Tensor::of<double>(DType::kFloat64, Shape{}, std::span(&value, 1)).cast(dtype));
}

std::string operation_module(std::string_view class_name) {
  static const std::map<std::string_view, std::set<std::string_view>> kElsewhere{
      {"keras.src.activations.activations", {"ReLU", "Mish"}},
      {"keras.src.ops.core",
       {"Cast", "ConvertToTensor", "SaturateCast", "Scatter", "ScatterUpdate", "Slice",
        "SliceUpdate", "StopGradient", "Unstack"}},
      {"keras.src.ops.einops", {"Rearrange"}},
      {"keras.src.ops.image",
       {"AffineTransform", "CropImages", "ExtractPatches", "GaussianBlur", "HSVToRGB",
        "MapCoordinates", "PadImages", "PerspectiveTransform", "RGBToGrayscale", "RGBToHSV",
        "Resize"}},
      {"keras.src.ops.linalg", {"Norm"}},
      {"keras.src.ops.math",
       {"CDist", "Erf", "Erfc", "Erfinv", "ExtractSequences", "FFT", "FFT2", "IFFT2", "InTopK",
        "IRFFT", "Logsumexp", "RFFT", "Rsqrt", "STFT", "SegmentMax", "SegmentMin", "SegmentProd",
        "SegmentSum", "TopK"}},
      {"keras.src.ops.nn",
       {"AdaptiveAveragePool",
        "AdaptiveMaxPool",
        "BinaryCrossentropy",
        "CategoricalCrossentropy",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "DepthwiseConv",
        "DotProductAttention",
        "MultiHot",
        "PSNR",
        "SeparableConv",
        "SparseCategoricalCrossentropy",
        "SpaceToDepth",
        "AveragePool",
        "BatchNorm",
        "Celu",
        "Elu",
        "Gelu",
        "Glu",
        "HardShrink",
        "HardSigmoid",
        "HardSilu",
        "HardTanh",
        "LayerNorm",
        "LeakyRelu",
        "LogSigmoid",
        "LogSoftmax",
        "MaxPool",
        "Moments",
        "Normalize",
        "OneHot",
        "RMSNorm",
        "Relu",
        "Relu6",
        "Selu",
        "Sigmoid",
        "Silu",
        "SoftShrink",
        "Softmax",
        "Softplus",
        "Softsign",
        "SparsePlus",
        "SparseSigmoid",
        "Sparsemax",
        "Squareplus",
        "TanhShrink",
        "Threshold",
        "Unfold"}}};
  for (const auto& [module, classes] : kElsewhere) {
    if (classes.contains(class_name)) return std::string(module);
  }
  return "keras.src.ops.numpy";
}

void add_operations(Registry& registry, std::initializer_list<const char*> class_names,
                    std::vector<std::string_view> parameters, std::vector<std::string_view> options,
                    LowerOperation lower) {
  for (const char* name : class_names) {
    std::vector<std::string_view> arguments = parameters;
    arguments.insert(arguments.end(), options.begin(), options.end());
    registry.add({.class_name = name,
                  .operation = true,
                  .lower =
                      [parameters, options, lower](LayerCall& call) {
                        Operation operation(call, parameters, options);
                        lower(operation);
                      },
                  .arguments = std::move(arguments),
                  .parameters = parameters.size()});
  }
}

}  // namespace kerf::layers
