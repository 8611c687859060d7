#pragma once

#include <array>
#include <cstddef>

namespace kerf::engine {

// A few outputs of a depthwise convolution side by side, all channels of them. What of the window
// lies in padding is cut off: all these outputs see the same taps.
struct DepthwiseSpan {
  static constexpr std::size_t kMaxOutputs = 8;
  const float* x = nullptr;        // the first output's first tap
  const float* weights = nullptr;  // of that tap: one row of `channels` for each tap of the window
  std::size_t channels = 0;
  std::size_t output_step = 0;          // floats from one output's input to the next one's
  std::array<std::size_t, 3> taps{};    // counts, by axis
  std::array<std::size_t, 3> x_step{};  // floats from one tap to the next
  std::array<std::size_t, 3> weight_step{};
  float* y = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;  // laid out as y, which it may be
  bool clamp = false;               // limit results to [low, high]
  float low = 0;
  float high = 0;
};

using DepthwiseFunction = void (*)(const DepthwiseSpan& span);
// For 1 to kMaxOutputs outputs.
using DepthwiseFunctions = std::array<DepthwiseFunction, DepthwiseSpan::kMaxOutputs>;

// This machine's for spans that see the whole width of a window without dilation along the
// innermost axis; a width of 0 gives those for any span. Get them when a kernel is made.
const DepthwiseFunctions& depthwise_functions(std::size_t width, std::size_t stride);

}  // namespace kerf::engine
