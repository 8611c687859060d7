#include <algorithm>
#include <array>
#include <limits>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

using program::Pool;

// The cells of one axis that the windows of its outputs cover, clipped to the input.
struct PoolAxis {
  std::int64_t input = 1;
  std::int64_t output = 1;
  std::int64_t size = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t before = 0;

  struct Taps {
    std::int64_t first;  // the first cell inside the input
    std::int64_t count;
  };
  Taps taps(std::int64_t position) const noexcept {
    const std::int64_t origin = position * stride - before;
    const std::int64_t skipped = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    const std::int64_t fitting =
        input > origin ? (input - origin + dilation - 1) / dilation : std::int64_t{0};
    return {.first = origin + skipped * dilation,
            .count = std::max<std::int64_t>(std::min(fitting, size) - skipped, 0)};
  }
};

class PoolKernel final : public Kernel {
 public:
  PoolKernel(const Pool& op, const KernelSpec& spec) : kind_(op.kind) {
    const Shape& x = spec.operands[0].shape;
    const Shape& y = spec.results[0].shape;
    const program::Window& window = op.window;
    batch_ = x[0];
    channels_ = x.back();
    // One and two axes are the inner ones of three.
    for (std::size_t i = 0; i < window.rank; ++i) {
      axes_[3 - window.rank + i] = {.input = x[i + 1],
                                    .output = y[i + 1],
                                    .size = window.size[i],
                                    .stride = window.strides[i],
                                    .dilation = window.dilation[i],
                                    .before = program::window_axis(window, i, x[i + 1]).before};
    }
    seconds_ = static_cast<double>(element_count(spec.results[0])) * 1e-9 *
               static_cast<double>(axes_[0].size * axes_[1].size * axes_[2].size);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    const auto rows = static_cast<std::size_t>(batch_ * axes_[0].output * axes_[1].output);
    parallel_ranges(run.pool, rows, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        pool_row(x, y, static_cast<std::int64_t>(row));
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  void pool_row(const float* x, float* y, std::int64_t row) const noexcept {
    const auto& [depth, height, width] = axes_;
    const std::int64_t h = row % height.output;
    const std::int64_t d = row / height.output % depth.output;
    const std::int64_t n = row / height.output / depth.output;
    const PoolAxis::Taps in_depth = depth.taps(d);
    const PoolAxis::Taps in_height = height.taps(h);
    for (std::int64_t w = 0; w < width.output; ++w) {
      const PoolAxis::Taps in_width = width.taps(w);
      float* out = y + (row * width.output + w) * channels_;
      for (std::int64_t c = 0; c < channels_; ++c) {
        float maximum = -std::numeric_limits<float>::infinity();
        float sum = 0;
        for (std::int64_t i = 0; i < in_depth.count; ++i) {
          const std::int64_t at_depth = n * depth.input + in_depth.first + i * depth.dilation;
          for (std::int64_t j = 0; j < in_height.count; ++j) {
            const std::int64_t at_height =
                at_depth * height.input + in_height.first + j * height.dilation;
            for (std::int64_t k = 0; k < in_width.count; ++k) {
              const std::int64_t at = at_height * width.input + in_width.first + k * width.dilation;
              const float value = x[at * channels_ + c];
              maximum = value > maximum || value != value ? value : maximum;
              sum += value;
            }
          }
        }
        const std::int64_t cells = in_depth.count * in_height.count * in_width.count;
        out[c] = kind_ == Pool::Kind::kMax ? maximum : sum / static_cast<float>(cells);
      }
    }
  }

  Pool::Kind kind_;
  std::int64_t batch_ = 1;
  std::int64_t channels_ = 1;
  std::array<PoolAxis, 3> axes_;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const Pool& op, const KernelSpec& spec) {
  return std::make_unique<PoolKernel>(op, spec);
}

}  // namespace kerf::engine
