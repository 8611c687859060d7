#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "layers/image_axes.h"
#include "layers/operation.h"
#include "layers/transposed_convolution.h"

// Convolutions as functions: the kernel is an array that the file holds.
namespace kerf::layers {
namespace {

// The kernel under this name, (window..., in, out).
Tensor kernel_of(Operation& op, std::string_view name, std::size_t rank) {
  const auto kernel = op.literal(name);
  if (!kernel) op.unsupported(name, "the kernel is computed; it must be an array in the file");
  if (kernel->shape().rank() != rank + 2 || kernel->shape().element_count() == 0) {
    op.invalid(name, fmt::format("has the shape {}", kernel->shape().to_string()));
  }
  return kernel->cast(DType::kFloat32);
}

program::Window window_of(Operation& op, const Shape& kernel, std::size_t rank) {
  program::Window window{.rank = rank};
  const auto strides = op.arguments().integers("strides", rank, 1);
  const auto dilation = op.arguments().integers("dilation_rate", rank, 1);
  for (std::size_t i = 0; i < rank; ++i) {
    window.size[i] = kernel[i];
    window.strides[i] = strides[i];
    window.dilation[i] = dilation[i];
  }
  const std::string padding = op.arguments().text("padding", "valid");
  if (padding == "same" || padding == "SAME") {
    window.padding = program::Padding::kSame;
  } else if (padding == "causal" && rank == 1) {
    window.padding = program::Padding::kCausal;
  } else if (padding != "valid" && padding != "VALID") {
    op.unsupported("padding", fmt::format("'{}' is not a padding kerf knows", padding));
  }
  return window;
}

// Runs `body(x, spatial rank)` on channels-last images and gives its result in the call's format.
template <typename Body>
void in_channels_last(Operation& op, const Body& body) {
  ValueId x = op.to_float(op.tensor("inputs"));
  if (op.rank(x) < 3 || op.rank(x) > 5) {
    op.invalid("inputs", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  const bool first = op.arguments().channels_first();
  if (first) x = to_channels_last(op.call(), x);
  const ValueId y = body(x, op.rank(x) - 2);
  op.output(first ? to_channels_first(op.call(), y) : y);
}

ValueId convolved(Operation& op, ValueId x, const Tensor& kernel, program::Window window) {
  const std::int64_t in = known_channels(op.call(), x);
  const std::int64_t own = kernel.shape()[kernel.shape().rank() - 2];
  if (in % own != 0) {
    op.invalid("kernel", fmt::format("of {} channels does not fit {}", own, in));
  }
  const program::Conv conv{.window = window, .groups = in / own, .epilogue = {}};
  return op.ops().append(conv, {x, op.ops().constant(kernel)});
}

void lower_conv(Operation& op) {
  in_channels_last(op, [&](ValueId x, std::size_t rank) {
    const Tensor kernel = kernel_of(op, "kernel", rank);
    return convolved(op, x, kernel, window_of(op, kernel.shape(), rank));
  });
}

void lower_depthwise_conv(Operation& op) {
  in_channels_last(op, [&](ValueId x, std::size_t rank) {
    const Tensor kernel = kernel_of(op, "kernel", rank);
    const program::DepthwiseConv conv{.window = window_of(op, kernel.shape(), rank),
                                      .epilogue = {}};
    return op.ops().append(conv, {x, op.ops().constant(kernel)});
  });
}

void lower_separable_conv(Operation& op) {
  in_channels_last(op, [&](ValueId x, std::size_t rank) {
    const Tensor depthwise = kernel_of(op, "depthwise_kernel", rank);
    const program::DepthwiseConv conv{.window = window_of(op, depthwise.shape(), rank),
                                      .epilogue = {}};
    const ValueId middle = op.ops().append(conv, {x, op.ops().constant(depthwise)});
    return convolved(op, middle, kernel_of(op, "pointwise_kernel", rank), {.rank = rank});
  });
}

void lower_conv_transpose(Operation& op) {
  in_channels_last(op, [&](ValueId x, std::size_t rank) {
    const Tensor kernel = kernel_of(op, "kernel", rank);
    program::ConvTranspose conv{.window = window_of(op, kernel.shape(), rank), .epilogue = {}};
    if (conv.window.padding == program::Padding::kCausal) {
      op.unsupported("padding", "is causal, which a transposed convolution cannot be");
    }
    std::int64_t phases = 1;
    constexpr std::int64_t kMostPhases = 4096;
    for (const std::int64_t stride : conv.window.strides) {
      phases = std::min(phases, kMostPhases + 1) * stride;
    }
    if (phases > kMostPhases) op.unsupported("strides", "are too large");
    place_output(op.arguments(), conv);
    conv.window.padding = program::Padding::kValid;
    return op.ops().append(conv, {x, op.ops().constant(swapped_channels({&kernel, 1}, 0))});
  });
}

}  // namespace

void register_convolutions(Registry& registry);
void register_convolutions(Registry& registry) {
  const std::vector<std::string_view> options{"strides", "padding", "data_format", "dilation_rate"};
  add_operations(registry, {"Conv"}, {"inputs", "kernel"}, options, lower_conv);
  add_operations(registry, {"DepthwiseConv"}, {"inputs", "kernel"}, options, lower_depthwise_conv);
  add_operations(registry, {"SeparableConv"}, {"inputs", "depthwise_kernel", "pointwise_kernel"},
                 options, lower_separable_conv);
  add_operations(registry, {"ConvTranspose"}, {"inputs", "kernel"},
                 {"strides", "padding", "output_padding", "data_format", "dilation_rate"},
                 lower_conv_transpose);
}

}  // namespace kerf::layers
