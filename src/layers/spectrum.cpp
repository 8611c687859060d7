#include "layers/spectrum.h"

#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <vector>

namespace kerf::layers {
namespace {

using program::Reshape;

// The weights of the elements of a frame.
std::vector<double> window_of(const Stft& stft) {
  std::vector<double> weights(static_cast<std::size_t>(stft.size), stft.window.empty() ? 1.0 : 0.0);
  if (stft.window.empty()) return weights;
  const double base = stft.window == "hann" ? 0.5 : 0.54;
  const std::int64_t left = (stft.size - stft.length) / 2;
  for (std::int64_t i = 0; i < stft.length; ++i) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(stft.length);
    weights[static_cast<std::size_t>(left + i)] = base - (1 - base) * std::cos(angle);
  }
  return weights;
}

// The transform of a weighed frame as a convolution's kernel (size, 1, 2 * frequencies): the
// cosines, then the sines.
Tensor fourier_kernel(const Stft& stft) {
  const std::vector<double> weights = window_of(stft);
  const auto size = static_cast<std::size_t>(stft.size);
  const std::size_t bins = size / 2 + 1;
  std::vector<double> turn(2 * size);
  for (std::size_t i = 0; i < size; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(size);
    turn[i] = std::cos(angle);
    turn[size + i] = -std::sin(angle);
  }
  std::vector<float> kernel(size * 2 * bins);
  for (std::size_t i = 0; i < size; ++i) {
    for (std::size_t bin = 0; bin < bins; ++bin) {
      const std::size_t at = i * bin % size;
      kernel[i * 2 * bins + bin] = static_cast<float>(weights[i] * turn[at]);
      kernel[i * 2 * bins + bins + bin] = static_cast<float>(weights[i] * turn[size + at]);
    }
  }
  return Tensor::floats({stft.size, 1, static_cast<std::int64_t>(2 * bins)}, kernel);
}

}  // namespace

ValueId reflected(LayerCall& call, ValueId x, std::int64_t width) {
  const std::int64_t size = call.shape(x).back();
  if (width == 0) return x;
  if (size != Shape::kUnknown && width >= size) {
    call.config().unsupported("fft_length", "the input is too short to be mirrored at its ends");
  }
  const auto axis = static_cast<std::int64_t>(call.shape(x).rank()) - 1;
  const ValueId before =
      call.ops().append(program::Slice{.axis = axis, .begin = width, .end = 0, .step = -1}, {x});
  const ValueId after = call.ops().append(
      program::Slice{.axis = axis, .begin = -2, .end = -2 - width, .step = -1}, {x});
  return call.ops().append(program::Concat{axis}, {before, x, after});
}

Spectrum short_time_spectrum(LayerCall& call, ValueId x, const Stft& stft) {
  constexpr std::int64_t kMost = 1 << 12;
  if (stft.size < 2 || stft.size > kMost || stft.length < 1 || stft.length > stft.size ||
      stft.step < 1 || stft.step > kMost) {
    call.config().unsupported("fft_length", fmt::format("frames of {} of {} elements, {} apart",
                                                        stft.length, stft.size, stft.step));
  }
  if (!stft.window.empty() && stft.window != "hann" && stft.window != "hamming") {
    call.config().unsupported("window", fmt::format("'{}' is not one kerf knows", stft.window));
  }
  if (stft.center) x = reflected(call, x, stft.size / 2);
  const Shape shape = call.shape(x);
  const std::int64_t bins = stft.size / 2 + 1;
  const ValueId line =
      call.ops().append(Reshape{{Reshape::kInfer, Reshape::copy(shape.rank() - 1), 1}}, {x});
  const ValueId kernel = call.derived(
      fmt::format("fourier {} {} {}", stft.length, stft.size, stft.window), {},
      {stft.size, 1, 2 * bins},
      [stft](std::span<const Tensor>, double) { return fourier_kernel(stft); }, 0);
  program::Conv conv{.window = {.rank = 1}, .groups = 1, .epilogue = {}};
  conv.window.size[0] = stft.size;
  conv.window.strides[0] = stft.step;
  ValueId y = call.ops().append(conv, {line, kernel});
  if (shape.rank() != 2) {
    std::vector<std::int64_t> dims;
    for (std::size_t i = 0; i + 1 < shape.rank(); ++i) dims.push_back(Reshape::like(i));
    dims.push_back(Reshape::copy(1));
    dims.push_back(2 * bins);
    // Without axes before it the line has no batch.
    y = shape.rank() == 1 ? call.ops().append(Reshape{{Reshape::copy(1), 2 * bins}}, {y})
                          : call.ops().append(Reshape{std::move(dims)}, {y, x});
  }
  const ValueId real = call.ops().append(program::Slice{.axis = -1, .begin = 0, .end = bins}, {y});
  const ValueId imaginary =
      call.ops().append(program::Slice{.axis = -1, .begin = bins, .end = {}}, {y});
  return {real, imaginary};
}

}  // namespace kerf::layers
