#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "layers/registry.h"

namespace kerf::layers {
namespace {

// sources: variance[, gamma]; gamma / sqrt(variance + epsilon).
Tensor batch_scale(std::span<const Tensor> sources, double epsilon) {
  const auto variance = sources[0].as<float>();
  std::vector<float> scale(variance.size());
  for (std::size_t i = 0; i < scale.size(); ++i) {
    const double gamma = sources.size() > 1 ? sources[1].as<float>()[i] : 1.0;
    scale[i] = static_cast<float>(gamma / std::sqrt(variance[i] + epsilon));
  }
  return Tensor::floats(sources[0].shape(), scale);
}

// sources: mean, scale[, beta]; beta - mean * scale.
Tensor batch_shift(std::span<const Tensor> sources, double) {
  const auto mean = sources[0].as<float>();
  const auto scale = sources[1].as<float>();
  std::vector<float> shift(mean.size());
  for (std::size_t i = 0; i < shift.size(); ++i) {
    const double beta = sources.size() > 2 ? sources[2].as<float>()[i] : 0.0;
    shift[i] = static_cast<float>(beta - static_cast<double>(mean[i]) * scale[i]);
  }
  return Tensor::floats(sources[0].shape(), shift);
}

std::size_t positive_axis(const Config& config, std::int64_t axis, std::size_t rank) {
  if (axis < 0) axis += static_cast<std::int64_t>(rank);
  if (axis < 0 || axis >= static_cast<std::int64_t>(rank)) {
    config.invalid("axis",
                   fmt::format("{} is not an axis of an input of {} dimensions", axis, rank));
  }
  return static_cast<std::size_t>(axis);
}

// The axes that are normalised, from the front; the last one if nothing is said.
std::vector<std::int64_t> axes_of(LayerCall& call, ValueId x) {
  const Config& config = call.config();
  std::vector<std::int64_t> axes{-1};
  if (config.has("axis")) axes = config.integers("axis");
  for (std::int64_t& axis : axes) {
    axis = static_cast<std::int64_t>(positive_axis(config, axis, call.shape(x).rank()));
  }
  return axes;
}

// Moves `axes` (ascending) to the end, runs `body`, moves them back.
template <typename Body>
ValueId with_axes_last(LayerCall& call, ValueId x, const std::vector<std::size_t>& axes,
                       const Body& body) {
  const std::size_t rank = call.shape(x).rank();
  std::vector<std::int64_t> there;
  for (std::size_t i = 0; i < rank; ++i) {
    if (std::ranges::find(axes, i) == axes.end()) there.push_back(static_cast<std::int64_t>(i));
  }
  for (const std::size_t axis : axes) there.push_back(static_cast<std::int64_t>(axis));
  if (std::ranges::is_sorted(there)) return body(x);
  std::vector<std::int64_t> back(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    back[static_cast<std::size_t>(there[i])] = static_cast<std::int64_t>(i);
  }
  const ValueId moved = call.ops().append(program::Transpose{there}, {x});
  return call.ops().append(program::Transpose{back}, {body(moved)});
}

void lower_batch_normalization(LayerCall& call) {
  const Config& config = call.config();
  const ValueId x = call.float_input();
  std::vector<std::int64_t> axes{-1};
  if (config.has("axis")) axes = config.integers("axis");
  if (axes.size() != 1) config.unsupported("axis", "several axes are normalised at once");
  const std::size_t axis = positive_axis(config, axes[0], call.shape(x).rank());
  const Shape channels{call.shape(x)[axis]};
  std::vector<ValueId> scale_sources{0};
  std::vector<ValueId> shift_sources{0, 0};
  if (config.boolean("scale", true)) scale_sources.push_back(call.weight("gamma", channels));
  if (config.boolean("center", true)) shift_sources.push_back(call.weight("beta", channels));
  shift_sources[0] = call.weight("moving_mean", channels, false);
  scale_sources[0] = call.weight("moving_variance", channels, false);
  if (config.boolean("renorm", false)) {
    for (const char* name : {"moving_stddev", "renorm_mean", "renorm_stddev"}) {
      call.weight(name, channels, false);
    }
  }
  const ValueId scale = call.derived("batch scale", scale_sources, channels, batch_scale,
                                     config.number("epsilon", 1e-3));
  shift_sources[1] = scale;
  const ValueId shift = call.derived("batch shift", shift_sources, channels, batch_shift, 0);
  call.output_passing_mask(with_axes_last(call, x, {axis}, [&](ValueId moved) {
    return call.ops().append(program::Affine{}, {moved, scale, shift});
  }));
}

void lower_layer_normalization(LayerCall& call) {
  const Config& config = call.config();
  const ValueId x = call.float_input();
  const bool rms = config.boolean("rms_scaling", false);
  const std::vector<std::int64_t> configured = axes_of(call, x);
  std::vector<std::size_t> axes(configured.begin(), configured.end());
  std::ranges::sort(axes);
  Shape shape;
  for (const std::size_t axis : axes) shape.push_back(call.shape(x)[axis]);
  program::LayerNorm op{.axes = axes.size(),
                        .epsilon = static_cast<float>(config.number("epsilon", 1e-3)),
                        .gamma = config.boolean("scale", true) || rms,
                        .beta = config.boolean("center", true) && !rms,
                        .center_mean = !rms};
  std::vector<ValueId> operands{0};
  if (op.gamma) operands.push_back(call.weight("gamma", shape));
  if (op.beta) operands.push_back(call.weight("beta", shape));
  call.output_passing_mask(with_axes_last(call, x, axes, [&](ValueId moved) {
    operands[0] = moved;
    return call.ops().append(op, operands);
  }));
}

// The mean and variance of each group of channels over the group and all cells.
void lower_group_normalization(LayerCall& call) {
  using program::Reshape;
  const Config& config = call.config();
  const ValueId input = call.float_input();
  const std::size_t axis =
      positive_axis(config, config.integer("axis", -1), call.shape(input).rank());
  const std::int64_t channels = call.shape(input)[axis];
  if (channels < 1) config.unsupported("axis", "the number of channels is unknown");
  std::int64_t groups = config.integer("groups", 32);
  if (groups == -1) groups = channels;
  if (groups < 1 || channels % groups != 0) {
    config.invalid("groups", fmt::format("{} groups do not divide {} channels", groups, channels));
  }
  std::vector<ValueId> weights;
  const bool scale = config.boolean("scale", true);
  const bool center = config.boolean("center", true);
  if (scale) weights.push_back(call.weight("gamma", {channels}));
  if (center) weights.push_back(call.weight("beta", {channels}));
  program::ProgramBuilder& ops = call.ops();
  program::LayerNorm norm{.epsilon = static_cast<float>(config.number("epsilon", 1e-3))};
  call.output_passing_mask(with_axes_last(call, input, {axis}, [&](ValueId x) {
    const std::size_t rank = call.shape(x).rank();
    ValueId y;
    if (groups == 1) {
      norm.axes = rank - 1;
      y = ops.append(norm, {x});
    } else {
      norm.axes = 2;
      y = ops.append(Reshape{{Reshape::copy(0), Reshape::kInfer, groups, channels / groups}}, {x});
      y = ops.append(program::Transpose{{0, 2, 1, 3}}, {y});
      y = ops.append(norm, {y});
      y = ops.append(program::Transpose{{0, 2, 1, 3}}, {y});
      std::vector<std::int64_t> dims{Reshape::copy(0)};
      for (std::size_t i = 1; i + 1 < rank; ++i) dims.push_back(Reshape::like(i));
      dims.push_back(channels);
      y = rank == 2 ? ops.append(Reshape{std::move(dims)}, {y})
                    : ops.append(Reshape{std::move(dims)}, {y, x});
    }
    if (scale && center) return ops.append(program::Affine{}, {y, weights[0], weights[1]});
    if (weights.empty()) return y;
    using Binary = program::Binary;
    return ops.append(Binary{scale ? Binary::Kind::kMultiply : Binary::Kind::kAdd},
                      {y, weights[0]});
  }));
}

// x / sqrt(mean or sum of the squares over `axes`), as `inverse` makes the divisor of it.
template <typename Inverse>
ValueId by_squares(LayerCall& call, ValueId x, std::vector<std::int64_t> axes,
                   program::Reduce::Kind kind, const Inverse& inverse) {
  program::ProgramBuilder& ops = call.ops();
  const ValueId squares = ops.append(program::Unary{{program::Function::kSquare}}, {x});
  const ValueId sum = ops.append(program::Reduce{kind, std::move(axes), true}, {squares});
  const ValueId factor = ops.append(program::Unary{{program::Function::kRsqrt}}, {inverse(sum)});
  return ops.append(program::Binary{program::Binary::Kind::kMultiply}, {x, factor});
}

void lower_rms_normalization(LayerCall& call) {
  using Binary = program::Binary;
  const Config& config = call.config();
  const ValueId input = call.float_input();
  const std::vector<std::int64_t> axes = axes_of(call, input);
  if (!std::ranges::is_sorted(axes)) config.unsupported("axis", "does not ascend");
  Shape shape;
  for (const std::int64_t axis : axes)
    shape.push_back(call.shape(input)[static_cast<std::size_t>(axis)]);
  const ValueId scale = call.weight("scale", shape);
  const ValueId epsilon = call.scalar(static_cast<float>(config.number("epsilon", 1e-6)));
  const std::vector<std::size_t> last(axes.begin(), axes.end());
  call.output(with_axes_last(call, input, last, [&](ValueId x) {
    std::vector<std::int64_t> reduced;
    for (std::size_t i = axes.size(); i > 0; --i) {
      reduced.push_back(static_cast<std::int64_t>(call.shape(x).rank() - i));
    }
    const ValueId y = by_squares(call, x, reduced, program::Reduce::Kind::kMean, [&](ValueId mean) {
      return call.ops().append(Binary{Binary::Kind::kAdd}, {mean, epsilon});
    });
    return call.ops().append(Binary{Binary::Kind::kMultiply}, {y, scale});
  }));
}

void lower_unit_normalization(LayerCall& call) {
  using Binary = program::Binary;
  const ValueId x = call.float_input();
  std::vector<std::int64_t> axes = axes_of(call, x);
  std::ranges::sort(axes);
  // Keras 2 bounds the square of the norm instead of the norm.
  const float least = call.layer().keras_major >= 3 ? 1e-12F : 1e-6F;
  if (axes.size() == 1) {
    call.output_passing_mask(
        call.ops().append(program::L2Normalize{.axis = axes[0], .epsilon = least}, {x}));
    return;
  }
  const ValueId bound = call.scalar(least * least);
  call.output_passing_mask(
      by_squares(call, x, std::move(axes), program::Reduce::Kind::kSum, [&](ValueId sum) {
        return call.ops().append(Binary{Binary::Kind::kMaximum}, {sum, bound});
      }));
}

}  // namespace

void register_normalization(Registry& registry);
void register_normalization(Registry& registry) {
  registry.add({.class_name = "BatchNormalization",
                .lower = lower_batch_normalization,
                .refuses = {{"axis", "several axes"}}});
  for (const char* alias :
       {"BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization"}) {
    registry.add_alias(alias, "BatchNormalization");
  }
  registry.add({.class_name = "LayerNormalization", .lower = lower_layer_normalization});
  registry.add({.class_name = "GroupNormalization",
                .lower = lower_group_normalization,
                .refuses = {{"axis", "one of unknown size"}}});
  registry.add({.class_name = "RMSNormalization",
                .lower = lower_rms_normalization,
                .refuses = {{"axis", "axes that do not ascend"}}});
  registry.add({.class_name = "UnitNormalization", .lower = lower_unit_normalization});
}

}  // namespace kerf::layers
