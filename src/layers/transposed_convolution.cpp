#include "layers/transposed_convolution.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace kerf::layers {

std::int64_t known_channels(LayerCall& call, ValueId x) {
  const std::int64_t channels = call.shape(x).back();
  if (channels < 1) call.config().unsupported("data_format", "the number of channels is unknown");
  return channels;
}

Tensor swapped_channels(std::span<const Tensor> sources, double) {
  const Shape& from = sources[0].shape();
  Shape to = from;
  std::swap(to[to.rank() - 2], to[to.rank() - 1]);
  const auto out = static_cast<std::size_t>(to.back());
  const auto in = static_cast<std::size_t>(from.back());
  const auto x = sources[0].as<float>();
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t row = i / out;  // of all taps' input channels
    y[i] = x[(row / in * out + i % out) * in + row % in];
  }
  return Tensor::floats(to, y);
}

void place_output(const Config& config, program::ConvTranspose& op) {
  const program::Window& window = op.window;
  const bool given = config.has("output_padding");
  const auto padding = config.integers("output_padding", window.rank, 0);
  for (std::size_t i = 0; i < window.rank; ++i) {
    const std::int64_t size = (window.size[i] - 1) * window.dilation[i] + 1;
    const std::int64_t stride = window.strides[i];
    const std::int64_t odd = size % 2;
    if (padding[i] < 0 || padding[i] > size + stride) {
      config.invalid("output_padding", fmt::format("{} does not fit the window", padding[i]));
    }
    if (window.padding == program::Padding::kValid) {
      op.extent[i] = given ? size + padding[i] : std::max(size, stride);
    } else {
      op.extent[i] = given ? odd + padding[i] : stride;
      const std::int64_t rest = given ? size - odd - padding[i] : size - stride;
      op.crop[i] = std::max<std::int64_t>(rest, 0) / 2;
    }
  }
}

}  // namespace kerf::layers
