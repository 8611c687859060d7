#pragma once

#include <array>
#include <cstddef>

namespace kerf::engine {

// Outputs of a depthwise convolution side by side on its innermost axis. What of the window lies in
// padding is cut off: all these outputs see the same taps.
struct DepthwiseSpan {
  const float* x = nullptr;        // the first output's first tap
  const float* weights = nullptr;  // of that tap
  std::size_t channels = 0;        // to compute
  std::size_t cell = 0;            // floats from one cell to the next, of x, weights and y
  std::size_t outputs = 0;
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

// What computes spans on this machine. Get it when a kernel is made.
struct DepthwiseFunctions {
  DepthwiseFunction any = nullptr;
  // For taps {1, rows, width} without dilation on the innermost axis, and outputs `stride` cells
  // apart (1 for a single output): faster where the window has a common size, else `any`.
  DepthwiseFunction (*known)(std::size_t rows, std::size_t width, std::size_t stride) = nullptr;
};
const DepthwiseFunctions& depthwise_functions();

}  // namespace kerf::engine
