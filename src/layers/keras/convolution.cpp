#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "layers/activation.h"
#include "layers/image_axes.h"
#include "layers/transposed_convolution.h"
#include "layers/window.h"

namespace kerf::layers {
namespace {

void require_rank(LayerCall& call, ValueId x, std::size_t rank) {
  if (call.shape(x).rank() != rank + 2) {
    call.config().invalid("data_format", fmt::format("needs an input of {} dimensions, not {}",
                                                     rank + 2, call.shape(x).to_string()));
  }
}

// Runs `body` on channels-last data whatever the layer's format.
template <typename Body>
ValueId in_channels_last(LayerCall& call, std::size_t rank, const Body& body) {
  ValueId x = call.float_input();
  require_rank(call, x, rank);
  const bool first = call.config().channels_first();
  if (first) x = to_channels_last(call, x);
  const ValueId y = body(x);
  return first ? to_channels_first(call, y) : y;
}

// The same with the layer's activation behind it. One that looks at each element alone stays beside
// the convolution; softmax and its like see the axes of the layer's format.
template <typename Body>
void activated_in_channels_last(LayerCall& call, std::size_t rank, const Body& body) {
  const auto simple = elementwise_activation(call, "activation", "linear");
  const ValueId y = in_channels_last(
      call, rank, [&](ValueId x) { return simple ? call.activated(body(x), *simple) : body(x); });
  call.output(simple ? y : apply_activation(call, y, "activation"));
}

Shape kernel_shape(const program::Window& window, std::int64_t in, std::int64_t out) {
  Shape shape;
  for (std::size_t i = 0; i < window.rank; ++i) shape.push_back(window.size[i]);
  shape.push_back(in);
  shape.push_back(out);
  return shape;
}

void lower_conv(LayerCall& call) {
  const std::size_t rank = spatial_rank_of(call);
  activated_in_channels_last(call, rank, [&](ValueId x) {
    const Config& config = call.config();
    program::Conv op{.window = window_of(call, rank, "kernel_size", 1),
                     .groups = config.integer("groups", 1),
                     .epilogue = {}};
    const std::int64_t in = known_channels(call, x);
    if (op.groups < 1 || in % op.groups != 0) {
      config.invalid("groups", fmt::format("{} groups do not divide {} channels", op.groups, in));
    }
    const std::int64_t filters = config.size("filters");
    std::vector<ValueId> operands{
        x, call.weight("kernel", kernel_shape(op.window, in / op.groups, filters))};
    if (config.boolean("use_bias", true)) {
      operands.push_back(call.weight("bias", {filters}));
      op.epilogue.bias = true;
    }
    return call.ops().append(op, std::move(operands));
  });
}

void lower_depthwise(LayerCall& call) {
  const std::size_t rank = spatial_rank_of(call);
  activated_in_channels_last(call, rank, [&](ValueId x) {
    program::DepthwiseConv op{.window = window_of(call, rank, "kernel_size", 1), .epilogue = {}};
    const std::int64_t in = known_channels(call, x);
    const std::int64_t multiplier = call.config().size("depth_multiplier", 1);
    std::vector<ValueId> operands{x,
                                  call.weight("kernel", kernel_shape(op.window, in, multiplier))};
    if (call.config().boolean("use_bias", true)) {
      operands.push_back(call.weight("bias", {in * multiplier}));
      op.epilogue.bias = true;
    }
    return call.ops().append(op, std::move(operands));
  });
}

void lower_separable(LayerCall& call) {
  const std::size_t rank = spatial_rank_of(call);
  activated_in_channels_last(call, rank, [&](ValueId x) {
    const Config& config = call.config();
    program::DepthwiseConv depthwise{.window = window_of(call, rank, "kernel_size", 1),
                                     .epilogue = {}};
    const std::int64_t in = known_channels(call, x);
    const std::int64_t multiplier = config.size("depth_multiplier", 1);
    const std::int64_t filters = config.size("filters");
    program::Conv pointwise{.window = {.rank = rank}, .groups = 1, .epilogue = {}};
    const ValueId depthwise_kernel =
        call.weight("depthwise_kernel", kernel_shape(depthwise.window, in, multiplier));
    const ValueId pointwise_kernel =
        call.weight("pointwise_kernel", kernel_shape(pointwise.window, in * multiplier, filters));
    const ValueId middle = call.ops().append(depthwise, {x, depthwise_kernel});
    std::vector<ValueId> operands{middle, pointwise_kernel};
    if (config.boolean("use_bias", true)) {
      operands.push_back(call.weight("bias", {filters}));
      pointwise.epilogue.bias = true;
    }
    return call.ops().append(pointwise, std::move(operands));
  });
}

void lower_conv_transpose(LayerCall& call) {
  const auto rank = static_cast<std::size_t>(call.layer().class_name[4] - '0');
  activated_in_channels_last(call, rank, [&](ValueId x) {
    const Config& config = call.config();
    program::ConvTranspose op{.window = window_of(call, rank, "kernel_size", 1)};
    if (op.window.padding == program::Padding::kCausal) {
      config.invalid("padding", "is causal, which a transposed convolution cannot be");
    }
    if (config.integer("groups", 1) != 1) {
      config.unsupported("groups", "transposed convolutions have one group only");
    }
    // Each remainder by the strides is a convolution of its own.
    constexpr std::int64_t kMostPhases = 4096;
    std::int64_t phases = 1;
    for (const std::int64_t stride : op.window.strides) {
      phases = std::min(phases, kMostPhases + 1) * stride;
    }
    if (phases > kMostPhases) config.unsupported("strides", "are too large");
    place_output(config, op);
    const std::int64_t in = known_channels(call, x);
    const std::int64_t filters = config.size("filters");
    const ValueId kernel = call.weight("kernel", kernel_shape(op.window, filters, in));
    std::vector<ValueId> operands{
        x, call.derived("swapped channels", {kernel}, kernel_shape(op.window, in, filters),
                        swapped_channels, 0)};
    if (config.boolean("use_bias", true)) {
      operands.push_back(call.weight("bias", {filters}));
      op.epilogue.bias = true;
    }
    op.window.padding = program::Padding::kValid;
    return call.ops().append(op, std::move(operands));
  });
}

void lower_pooling(LayerCall& call) {
  const std::size_t rank = spatial_rank_of(call);
  call.output(in_channels_last(call, rank, [&](ValueId x) {
    program::Pool op{.window = window_of(call, rank, "pool_size", 2)};
    if (call.layer().class_name.starts_with("Average")) op.kind = program::Pool::Kind::kAverage;
    return call.ops().append(op, {x});
  }));
}

void lower_global_pooling(LayerCall& call) {
  const std::size_t rank = spatial_rank_of(call);
  const ValueId x = call.float_input();
  require_rank(call, x, rank);
  program::ProgramBuilder& ops = call.ops();
  using Reduce = program::Reduce;
  const bool keep = call.config().boolean("keepdims", false);
  const bool average = call.layer().class_name.starts_with("GlobalAverage");
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < rank; ++i) {
    axes.push_back(static_cast<std::int64_t>(i) + (call.config().channels_first() ? 2 : 1));
  }
  const auto mask = average && rank == 1 ? call.mask() : std::nullopt;
  if (!mask) {
    const auto kind = average ? Reduce::Kind::kMean : Reduce::Kind::kMax;
    call.output(ops.append(Reduce{kind, axes, keep}, {x}));
    return;
  }
  // The mean over the steps that count.
  using Binary = program::Binary;
  using program::Reshape;
  const ValueId weights = ops.append(program::Cast{DType::kFloat32}, {*mask});
  const bool first = call.config().channels_first();
  const std::vector<std::int64_t> dims =
      first ? std::vector<std::int64_t>{Reshape::copy(0), 1, Reshape::copy(1)}
            : std::vector<std::int64_t>{Reshape::copy(0), Reshape::copy(1), 1};
  const ValueId spread = ops.append(Reshape{dims}, {weights});
  const ValueId kept = ops.append(Binary{Binary::Kind::kMultiply}, {x, spread});
  const ValueId sum = ops.append(Reduce{Reduce::Kind::kSum, axes, keep}, {kept});
  const ValueId steps = ops.append(Reduce{Reduce::Kind::kSum, axes, keep}, {spread});
  call.output(ops.append(Binary{Binary::Kind::kDivide}, {sum, steps}));
}

}  // namespace

void register_convolution(Registry& registry);
void register_convolution(Registry& registry) {
  const std::vector<Refusal> kKnownChannels{{"data_format", "an unknown number of channels"}};
  for (const char* name : {"Conv1D", "Conv2D", "Conv3D"}) {
    registry.add({.class_name = name, .lower = lower_conv, .refuses = kKnownChannels});
  }
  for (const char* name : {"DepthwiseConv1D", "DepthwiseConv2D"}) {
    registry.add({.class_name = name, .lower = lower_depthwise, .refuses = kKnownChannels});
  }
  for (const char* name : {"SeparableConv1D", "SeparableConv2D"}) {
    registry.add({.class_name = name, .lower = lower_separable, .refuses = kKnownChannels});
  }
  for (const char* name : {"Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"}) {
    registry.add({.class_name = name,
                  .lower = lower_conv_transpose,
                  .refuses = {{"data_format", "an unknown number of channels"},
                              {"groups", "more than one"},
                              {"strides", "of a product above 4096"}}});
  }
  for (const char* name : {"MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "AveragePooling1D",
                           "AveragePooling2D", "AveragePooling3D"}) {
    registry.add({.class_name = name, .lower = lower_pooling});
  }
  for (const char* name :
       {"GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "GlobalAveragePooling1D",
        "GlobalAveragePooling2D", "GlobalAveragePooling3D"}) {
    registry.add({.class_name = name, .lower = lower_global_pooling});
  }
}

}  // namespace kerf::layers
