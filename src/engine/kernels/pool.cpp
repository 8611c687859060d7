#include "engine/kernels/pool.h"

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/pool.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/lines-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

class Average {
 public:
  HWY_INLINE Average() : sum_(hn::Zero(FloatTag())) {}
  HWY_INLINE void add(FloatVector v) { sum_ = hn::Add(sum_, v); }
  HWY_INLINE FloatVector finish(std::int64_t cells) const {
    return hn::Div(sum_, hn::Set(FloatTag(), static_cast<float>(cells)));
  }

 private:
  FloatVector sum_;
};

class Maximum : public Extreme<true> {
 public:
  HWY_INLINE Maximum() {}  // NOLINT(modernize-use-equals-default): compiled for the target
  HWY_INLINE FloatVector finish(std::int64_t) const { return lanes(); }
};

// The outputs of one row. All channels of a cell lie together: a window is reduced for as many of
// them at once as a vector holds.
template <class State>
HWY_INLINE void pool_row(const PoolGeometry& geometry, const float* x, float* y, std::int64_t row) {
  const auto& [depth, height, width] = geometry.axes;
  const std::int64_t channels = geometry.channels;
  const PoolAxis::Taps in_height = height.taps(row % height.output);
  const PoolAxis::Taps in_depth = depth.taps(row / height.output % depth.output);
  const std::int64_t sample = row / geometry.rows_per_sample();
  const float* corner =
      x + ((sample * depth.input + in_depth.first) * height.input + in_height.first) * width.input *
              channels;
  const std::int64_t depth_step = depth.dilation * height.input * width.input * channels;
  const std::int64_t height_step = height.dilation * width.input * channels;
  const std::int64_t width_step = width.dilation * channels;
  for (std::int64_t w = 0; w < width.output; ++w) {
    const PoolAxis::Taps in_width = width.taps(w);
    const float* from = corner + in_width.first * channels;
    float* to = y + (row * width.output + w) * channels;
    const std::int64_t cells = in_depth.count * in_height.count * in_width.count;
    for_each_strip(static_cast<std::size_t>(channels), [&](std::size_t c, std::size_t lanes) {
      State state;
      for (std::int64_t i = 0; i < in_depth.count; ++i) {
        for (std::int64_t j = 0; j < in_height.count; ++j) {
          const float* line = from + i * depth_step + j * height_step + c;
          for (std::int64_t k = 0; k < in_width.count; ++k) {
            state.add(load_strip(line + k * width_step, lanes));
          }
        }
      }
      store_strip(state.finish(cells), to + c, lanes);
    });
  }
}

void pool_rows(const PoolGeometry& geometry, bool maximum, const float* x, float* y,
               std::size_t begin, std::size_t end) {
  for (std::size_t row = begin; row < end; ++row) {
    if (maximum) {
      pool_row<Maximum>(geometry, x, y, static_cast<std::int64_t>(row));
    } else {
      pool_row<Average>(geometry, x, y, static_cast<std::int64_t>(row));
    }
  }
}

auto pool_of_target() { return pool_rows; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <memory>

namespace kerf::engine {
namespace {

HWY_EXPORT(pool_of_target);

class PoolKernel final : public Kernel {
 public:
  PoolKernel(const program::Pool& op, const KernelSpec& spec)
      : maximum_(op.kind == program::Pool::Kind::kMax),
        pool_(HWY_DYNAMIC_DISPATCH(pool_of_target)()) {
    const Shape& x = spec.operands[0].shape;
    const Shape& y = spec.results[0].shape;
    const program::Window& window = op.window;
    geometry_.channels = x.back();
    double cells = 1;
    for (std::size_t i = 0; i < window.rank; ++i) {
      geometry_.axes[3 - window.rank + i] = {
          .input = x[i + 1],
          .output = y[i + 1],
          .size = window.size[i],
          .stride = window.strides[i],
          .dilation = window.dilation[i],
          .before = program::window_axis(window, i, x[i + 1]).before};
      cells *= static_cast<double>(window.size[i]);
    }
    rows_ = static_cast<std::size_t>(x[0] * geometry_.rows_per_sample());
    const std::int64_t outputs = y.element_count() / std::max<std::int64_t>(x.back(), 1);
    const std::int64_t vectors = (x.back() + 15) / 16;
    seconds_ = static_cast<double>(outputs) * (2e-9 + static_cast<double>(vectors) * cells * 8e-10);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    parallel_ranges(run.pool, rows_, seconds_, [&](std::size_t begin, std::size_t end) {
      pool_(geometry_, maximum_, x, y, begin, end);
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  PoolGeometry geometry_;
  bool maximum_;
  void (*pool_)(const PoolGeometry&, bool, const float*, float*, std::size_t, std::size_t);
  std::size_t rows_ = 0;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Pool& op, const KernelSpec& spec) {
  return std::make_unique<PoolKernel>(op, spec);
}

}  // namespace kerf::engine
#endif
