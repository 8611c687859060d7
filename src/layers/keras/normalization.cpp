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
  std::vector<std::size_t> axes;
  std::vector<std::int64_t> configured{-1};
  if (config.has("axis")) configured = config.integers("axis");
  for (const std::int64_t axis : configured) {
    axes.push_back(positive_axis(config, axis, call.shape(x).rank()));
  }
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

void lower_rescaling(LayerCall& call) {
  const Config& config = call.config();
  const auto number = [&](const char* key, double fallback) {
    const boost::json::value* value = config.find(key);
    if (value != nullptr && !value->is_number()) {
      config.unsupported(key, "only a single number is supported");
    }
    return call.scalar(static_cast<float>(config.number(key, fallback)));
  };
  const ValueId x = call.float_input();
  using Binary = program::Binary;
  const ValueId scaled =
      call.ops().append(Binary{Binary::Kind::kMultiply}, {x, number("scale", 1)});
  call.output_passing_mask(
      call.ops().append(Binary{Binary::Kind::kAdd}, {scaled, number("offset", 0)}));
}

}  // namespace

void register_normalization(Registry& registry);
void register_normalization(Registry& registry) {
  registry.add({.class_name = "BatchNormalization", .lower = lower_batch_normalization});
  for (const char* alias :
       {"BatchNormalizationV1", "BatchNormalizationV2", "SyncBatchNormalization"}) {
    registry.add_alias(alias, "BatchNormalization");
  }
  registry.add({.class_name = "LayerNormalization", .lower = lower_layer_normalization});
  registry.add({.class_name = "Rescaling", .lower = lower_rescaling});
}

}  // namespace kerf::layers
