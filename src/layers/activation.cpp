#include "layers/activation.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "kerf/error.h"
#include "layers/user_definitions.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::Activation;
using program::Function;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Activation relu(float slope, float maximum, float threshold) {
  return {Function::kRelu, slope, maximum, threshold};
}

std::optional<Activation> named(std::string_view name, int keras_major) {
  static const std::map<std::string_view, Activation> kNames{
      {"linear", {}},
      {"relu", relu(0, kInfinity, 0)},
      {"relu6", relu(0, 6, 0)},
      {"leaky_relu", relu(0.2F, kInfinity, 0)},
      {"elu", {Function::kElu, 1}},
      {"selu", {Function::kSelu}},
      {"celu", {Function::kCelu, 1}},
      {"gelu", {Function::kGelu}},
      {"sigmoid", {Function::kSigmoid}},
      {"hard_silu", {Function::kHardSilu}},
      {"hard_swish", {Function::kHardSilu}},
      {"silu", {Function::kSilu}},
      {"swish", {Function::kSilu}},
      {"tanh", {Function::kTanh}},
      {"hard_tanh", {Function::kHardTanh}},
      {"tanh_shrink", {Function::kTanhShrink}},
      {"softplus", {Function::kSoftplus}},
      {"softsign", {Function::kSoftsign}},
      {"soft_shrink", {Function::kSoftShrink, 0.5F}},
      {"hard_shrink", {Function::kHardShrink, 0.5F}},
      {"squareplus", {Function::kSquareplus, 4}},
      {"sparse_plus", {Function::kSparsePlus}},
      {"sparse_sigmoid", {Function::kSparseSigmoid}},
      {"exponential", {Function::kExp}},
      {"log_sigmoid", {Function::kLogSigmoid}},
      {"mish", {Function::kMish}},
  };
  // Keras 3 changed the function behind this name.
  if (name == "hard_sigmoid") {
    return Activation{Function::kHardSigmoid, keras_major >= 3 ? 1.0F / 6.0F : 0.2F, 0.5F};
  }
  const auto it = kNames.find(name);
  return it == kNames.end() ? std::nullopt : std::optional(it->second);
}

struct Named {
  std::string name;                     // of a function, or of a layer class
  const json::object* layer = nullptr;  // the layer's configuration
};

Named read(const Config& config, std::string_view field, std::string_view fallback) {
  const json::value* value = config.find(field);
  if (value == nullptr) return {.name = std::string(fallback)};
  if (value->is_string()) return {.name = std::string(value->get_string())};
  if (const json::object* object = value->if_object()) {
    const json::value* name = object->if_contains("class_name");
    const json::value* inner = object->if_contains("config");
    if (name != nullptr && name->is_string() && inner != nullptr) {
      if (inner->is_string()) return {.name = std::string(inner->get_string())};
      if (inner->is_object()) {
        return {.name = std::string(name->get_string()), .layer = &inner->get_object()};
      }
    }
  }
  config.invalid(field, "names no activation");
}

ValueId glu(LayerCall& call, ValueId x) {
  const std::int64_t width = call.shape(x).back();
  if (width < 0 || width % 2 != 0) {
    call.config().unsupported("activation", "glu needs an even, known number of channels");
  }
  program::ProgramBuilder& ops = call.ops();
  const ValueId a = ops.append(program::Slice{.axis = -1, .begin = 0, .end = width / 2}, {x});
  const ValueId b = ops.append(program::Slice{.axis = -1, .begin = width / 2, .end = {}}, {x});
  const ValueId gate = call.activated(b, {Function::kSigmoid});
  return ops.append(program::Binary{program::Binary::Kind::kMultiply}, {a, gate});
}

}  // namespace

std::optional<Activation> layer_activation(const Config& config, std::string_view class_name) {
  if (class_name == "ReLU") {
    return relu(static_cast<float>(config.number("negative_slope", 0)),
                static_cast<float>(config.number("max_value", kInfinity)),
                static_cast<float>(config.number("threshold", 0)));
  }
  if (class_name == "LeakyReLU") {
    const double slope = config.number("negative_slope", config.number("alpha", 0.3));
    return relu(static_cast<float>(slope), kInfinity, 0);
  }
  if (class_name == "ELU") {
    return Activation{Function::kElu, static_cast<float>(config.number("alpha", 1))};
  }
  if (class_name == "ThresholdedReLU") {
    return Activation{Function::kThreshold, static_cast<float>(config.number("theta", 1)), 0};
  }
  return std::nullopt;
}

std::optional<Activation> elementwise_activation(const Config& config, int keras_major,
                                                 std::string_view field,
                                                 std::string_view fallback) {
  const Named activation = read(config, field, fallback);
  if (activation.layer != nullptr) {
    return layer_activation(Config(*activation.layer, config.where()), activation.name);
  }
  return named(activation.name, keras_major);
}

std::optional<Activation> elementwise_activation(LayerCall& call, std::string_view field,
                                                 std::string_view fallback) {
  // A layer that stands for a function is part of the layer, with weights or without.
  const Named activation = read(call.config(), field, fallback);
  if (activation.layer != nullptr) {
    const json::value* name = activation.layer->if_contains("name");
    call.part(std::string(field), name != nullptr && name->is_string()
                                      ? std::string(name->get_string())
                                      : activation.name);
  }
  return elementwise_activation(call.config(), call.layer().keras_major, field, fallback);
}

ValueId apply_activation(LayerCall& call, ValueId x, std::string_view field,
                         std::string_view fallback) {
  if (const auto simple = elementwise_activation(call, field, fallback)) {
    return call.activated(x, *simple);
  }
  const Named activation = read(call.config(), field, fallback);
  const std::string& name = activation.name;
  if (activation.layer != nullptr) {
    const Config config(*activation.layer, call.config().where());
    if (name == "Softmax") return softmax(call, x, config, {});
    if (name == "PReLU") return parametric_relu(call, x, config, "activation/alpha");
    if (name == "Activation") {
      call.config().unsupported(field, "an Activation layer stands where a function is expected");
    }
  } else {
    if (name == "softmax" || name == "softmax_v2")
      return call.ops().append(program::Softmax{}, {x});
    if (name == "log_softmax" || name == "log_softmax_v2") {
      return call.ops().append(program::Softmax{.axis = -1, .log = true}, {x});
    }
    if (name == "sparsemax") return call.ops().append(program::Sparsemax{}, {x});
    if (name == "glu") return glu(call, x);
    const UserDefinitions* extensions = call.layer().extensions.get();
    if (const auto* own = extensions == nullptr ? nullptr : extensions->function(name)) {
      python::Evaluator evaluator(call);
      return evaluator.tensor(apply_expression(evaluator, *own, {python::TensorValue{x}}, {}));
    }
  }
  call.config().unsupported(
      field,
      fmt::format(
          "kerf does not know the activation '{}'; if it is the model author's own, say what "
          "it computes by an alias (docs/custom-layers.md)",
          name));
}

ValueId softmax(LayerCall& call, ValueId x, const Config& config, std::optional<ValueId> mask) {
  program::ProgramBuilder& ops = call.ops();
  const auto rank = static_cast<std::int64_t>(call.shape(x).rank());
  if (mask) {
    // Masked logits leave the sum, and masked results are zero.
    ValueId m = *mask;
    while (call.shape(m).rank() < call.shape(x).rank()) {
      std::vector<std::int64_t> dims;
      for (std::size_t i = 0; i < call.shape(m).rank(); ++i)
        dims.push_back(program::Reshape::copy(i));
      dims.push_back(1);
      m = ops.append(program::Reshape{dims}, {m});
    }
    x = ops.append(program::Select{}, {m, x, call.scalar(-1e9F)});
    const ValueId y = softmax(call, x, config, {});
    return ops.append(program::Select{}, {m, y, call.scalar(0)});
  }
  std::vector<std::int64_t> axes{-1};
  if (config.has("axis")) axes = config.integers("axis");
  if (axes.size() == 1) return ops.append(program::Softmax{.axis = axes[0]}, {x});
  // Several axes: exp(x - max) / sum over all of them.
  for (std::int64_t& axis : axes) {
    if (axis < 0) axis += rank;
  }
  std::ranges::sort(axes);
  using Reduce = program::Reduce;
  using Binary = program::Binary;
  const ValueId top = ops.append(Reduce{Reduce::Kind::kMax, axes, true}, {x});
  const ValueId shifted = ops.append(Binary{Binary::Kind::kSubtract}, {x, top});
  const ValueId exponential = call.activated(shifted, {Function::kExp});
  const ValueId sum = ops.append(Reduce{Reduce::Kind::kSum, axes, true}, {exponential});
  return ops.append(Binary{Binary::Kind::kDivide}, {exponential, sum});
}

ValueId parametric_relu(LayerCall& call, ValueId x, const Config& config, std::string weight_name) {
  Shape shape = call.shape(x);
  shape.erase(0);
  if (config.has("shared_axes")) {
    for (const std::int64_t axis : config.integers("shared_axes")) {
      if (axis < 1 || axis > static_cast<std::int64_t>(shape.rank())) {
        config.invalid("shared_axes", fmt::format("names the axis {}", axis));
      }
      shape[static_cast<std::size_t>(axis - 1)] = 1;
    }
  }
  return call.ops().append(program::Binary{program::Binary::Kind::kSlope},
                           {x, call.weight(std::move(weight_name), shape)});
}

}  // namespace kerf::layers
