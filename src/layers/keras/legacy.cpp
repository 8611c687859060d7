#include <fmt/format.h>

#include "layers/activation.h"

// Layers that only old files have: Highway, MaxoutDense, SReLU and ParametricSoftplus of Keras 1,
// RandomFourierFeatures of tf.keras.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reshape;

ValueId binary(LayerCall& call, Binary::Kind kind, ValueId a, ValueId b) {
  return call.ops().append(Binary{kind}, {a, b});
}

// Features (n, channels), as these layers take them.
ValueId features(LayerCall& call) {
  const ValueId x = call.float_input();
  if (call.shape(x).rank() != 2 || call.shape(x).back() < 1) {
    call.config().unsupported("input_dim", fmt::format("needs an input (batch, features), not {}",
                                                       call.shape(x).to_string()));
  }
  return x;
}

ValueId dense(LayerCall& call, ValueId x, ValueId kernel, std::optional<ValueId> bias) {
  program::Linear op;
  std::vector<ValueId> operands{x, kernel};
  if (bias) {
    operands.push_back(*bias);
    op.epilogue.bias = true;
  }
  return call.ops().append(op, std::move(operands));
}

// t * f(x) + (1 - t) * x, where t says how much is carried on.
void lower_highway(LayerCall& call) {
  const ValueId x = features(call);
  const std::int64_t width = call.shape(x).back();
  const ValueId kernel = call.weight("kernel", {width, width});
  const ValueId carry = call.weight("carry_kernel", {width, width});
  std::optional<ValueId> bias;
  std::optional<ValueId> carry_bias;
  if (call.config().boolean("use_bias", true)) {
    bias = call.weight("bias", {width});
    carry_bias = call.weight("carry_bias", {width});
  }
  const ValueId gate = call.activated(dense(call, x, carry, carry_bias), {Function::kSigmoid});
  const ValueId y = apply_activation(call, dense(call, x, kernel, bias), "activation");
  // x + t * (f(x) - x)
  const ValueId change =
      binary(call, Binary::Kind::kMultiply, gate, binary(call, Binary::Kind::kSubtract, y, x));
  call.output(binary(call, Binary::Kind::kAdd, x, change));
}

// (features, in, out) -> (in, features * out).
Tensor side_by_side(std::span<const Tensor> sources, double) {
  const Shape& shape = sources[0].shape();
  const auto in = static_cast<std::size_t>(shape[1]);
  const auto out = static_cast<std::size_t>(shape[2]);
  const std::size_t width = static_cast<std::size_t>(shape[0]) * out;
  const auto x = sources[0].as<float>();
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::size_t feature = i / (in * out);
    y[i / out % in * width + feature * out + i % out] = x[i];
  }
  return Tensor::floats({shape[1], shape[0] * shape[2]}, y);
}

// The largest of several dense layers.
void lower_maxout(LayerCall& call) {
  const ValueId x = features(call);
  const std::int64_t in = call.shape(x).back();
  const std::int64_t units = call.config().size("units");
  const std::int64_t count = call.config().size("nb_feature", 4);
  const ValueId kernel = call.weight("kernel", {count, in, units});
  const ValueId wide = call.derived("side by side", {kernel}, {in, count * units}, side_by_side, 0);
  ValueId y = dense(call, x, wide, {});
  y = call.ops().append(Reshape{{Reshape::copy(0), count, units}}, {y});
  if (call.config().boolean("use_bias", true)) {
    y = binary(call, Binary::Kind::kAdd, y, call.weight("bias", {count, units}));
  }
  call.output(call.ops().append(program::Reduce{program::Reduce::Kind::kMax, {1}, false}, {y}));
}

// A weight for each element of a sample, or one for all along the shared axes.
ValueId for_each_element(LayerCall& call, ValueId x, std::string name) {
  Shape shape = call.shape(x);
  shape.erase(0);
  if (call.config().has("shared_axes")) {
    for (const std::int64_t axis : call.config().integers("shared_axes")) {
      if (axis < 1 || axis > static_cast<std::int64_t>(shape.rank())) {
        call.config().invalid("shared_axes", fmt::format("names the axis {}", axis));
      }
      shape[static_cast<std::size_t>(axis - 1)] = 1;
    }
  }
  return call.weight(std::move(name), shape);
}

// Three lines: of slope a_left below t_left, of slope 1, and of slope a_right from t_left +
// |t_right| on.
void lower_srelu(LayerCall& call) {
  const ValueId x = call.float_input();
  const ValueId left = for_each_element(call, x, "t_left");
  const ValueId left_slope = for_each_element(call, x, "a_left");
  const ValueId width = for_each_element(call, x, "t_right");
  const ValueId right_slope = for_each_element(call, x, "a_right");
  const ValueId right =
      binary(call, Binary::Kind::kAdd, left, call.activated(width, {Function::kAbs}));
  const ValueId zero = call.scalar(0);
  const ValueId below =
      binary(call, Binary::Kind::kMinimum, binary(call, Binary::Kind::kSubtract, x, left), zero);
  const ValueId above =
      binary(call, Binary::Kind::kMaximum, binary(call, Binary::Kind::kSubtract, x, right), zero);
  const ValueId middle =
      binary(call, Binary::Kind::kMinimum, binary(call, Binary::Kind::kMaximum, x, left), right);
  const ValueId y = binary(call, Binary::Kind::kAdd, middle,
                           binary(call, Binary::Kind::kMultiply, below, left_slope));
  call.output_passing_mask(binary(call, Binary::Kind::kAdd, y,
                                  binary(call, Binary::Kind::kMultiply, above, right_slope)));
}

void lower_parametric_softplus(LayerCall& call) {
  const ValueId x = call.float_input();
  const ValueId alphas = for_each_element(call, x, "alphas");
  const ValueId betas = for_each_element(call, x, "betas");
  const ValueId softplus =
      call.activated(binary(call, Binary::Kind::kMultiply, x, betas), {Function::kSoftplus});
  call.output_passing_mask(binary(call, Binary::Kind::kMultiply, softplus, alphas));
}

// cos(x * kernel / scale + bias).
void lower_fourier_features(LayerCall& call) {
  const ValueId x = features(call);
  const std::int64_t width = call.config().size("output_dim");
  const ValueId kernel = call.weight("unscaled_kernel", {call.shape(x).back(), width}, false);
  const ValueId bias = call.weight("bias", {width}, false);
  const ValueId scale = call.weight("kernel_scale", {}, false);
  const ValueId product = binary(call, Binary::Kind::kDivide, dense(call, x, kernel, {}), scale);
  call.output(call.activated(binary(call, Binary::Kind::kAdd, product, bias), {Function::kCos}));
}

}  // namespace

void register_legacy(Registry& registry);
void register_legacy(Registry& registry) {
  const std::vector<Refusal> features_only{{"input_dim", "inputs of other than 2 dimensions"}};
  registry.add({.class_name = "Highway", .lower = lower_highway, .refuses = features_only});
  registry.add({.class_name = "MaxoutDense", .lower = lower_maxout, .refuses = features_only});
  registry.add({.class_name = "SReLU", .lower = lower_srelu});
  registry.add({.class_name = "ParametricSoftplus", .lower = lower_parametric_softplus});
  registry.add({.class_name = "RandomFourierFeatures",
                .lower = lower_fourier_features,
                .refuses = features_only});
}

}  // namespace kerf::layers
