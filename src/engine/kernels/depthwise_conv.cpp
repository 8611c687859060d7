#include <array>

#include "engine/kernel.h"
#include "engine/kernels/activation.h"

namespace kerf::engine {
namespace {

// Grouped convolution; a depthwise one has a group per input channel.
class ConvKernel final : public Kernel {
 public:
  ConvKernel(const program::Window& window, std::int64_t groups, const program::Epilogue& epilogue,
             const KernelSpec& spec)
      : window_(window), groups_(groups), epilogue_(epilogue) {
    const Shape& x = spec.operands[0].shape;
    const Shape& y = spec.results[0].shape;
    batch_ = x[0];
    in_ = x.back() / groups;
    out_ = y.back() / groups;
    for (std::size_t axis = 0; axis < window.rank; ++axis) {
      const std::size_t i = axis + 3 - window.rank;
      size_[i] = x[axis + 1];
      output_[i] = y[axis + 1];
      kernel_[i] = window.size[axis];
      stride_[i] = window.strides[axis];
      dilation_[i] = window.dilation[axis];
      before_[i] = program::window_axis(window, axis, x[axis + 1]).before;
    }
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    std::size_t next = 2;
    const auto* bias = epilogue_.bias ? static_cast<const float*>(run.operands[next++]) : nullptr;
    const auto* residual =
        epilogue_.residual ? static_cast<const float*>(run.operands[next]) : nullptr;
    const auto* w = static_cast<const float*>(run.operands[1]);
    auto* y = static_cast<float*>(run.results[0]);
    std::int64_t at = 0;
    for (std::int64_t n = 0; n < batch_; ++n) {
      for (std::int64_t i = 0; i < output_[0]; ++i) {
        for (std::int64_t j = 0; j < output_[1]; ++j) {
          for (std::int64_t k = 0; k < output_[2]; ++k) {
            for (std::int64_t o = 0; o < groups_ * out_; ++o, ++at) {
              float sum = cell(x, w, n, {i, j, k}, o);
              if (bias != nullptr) sum += bias[o];
              if (residual != nullptr) sum += residual[at];
              y[at] = apply(epilogue_.activation, sum);
            }
          }
        }
      }
    }
    return true;
  }

  double estimated_seconds() const noexcept override {
    double multiplies = static_cast<double>(batch_ * in_ * out_ * groups_);
    for (std::size_t i = 0; i < 3; ++i)
      multiplies *= static_cast<double>(output_[i]) * static_cast<double>(kernel_[i]);
    return 2e-10 * multiplies;
  }

 private:
  using Index = std::array<std::int64_t, 3>;

  float cell(const float* x, const float* w, std::int64_t n, const Index& output,
             std::int64_t o) const noexcept {
    const std::int64_t channels = groups_ * in_;
    const std::int64_t first = o / out_ * in_;
    float sum = 0;
    Index tap;
    for (tap[0] = 0; tap[0] < kernel_[0]; ++tap[0]) {
      for (tap[1] = 0; tap[1] < kernel_[1]; ++tap[1]) {
        for (tap[2] = 0; tap[2] < kernel_[2]; ++tap[2]) {
          std::int64_t from = n;
          std::int64_t weight = 0;
          bool inside = true;
          for (std::size_t i = 0; i < 3; ++i) {
            const std::int64_t p = output[i] * stride_[i] + tap[i] * dilation_[i] - before_[i];
            inside = inside && p >= 0 && p < size_[i];
            from = from * size_[i] + p;
            weight = weight * kernel_[i] + tap[i];
          }
          if (!inside) continue;
          for (std::int64_t c = 0; c < in_; ++c) {
            sum += x[from * channels + first + c] * w[(weight * in_ + c) * groups_ * out_ + o];
          }
        }
      }
    }
    return sum;
  }

  program::Window window_;
  std::int64_t groups_;
  program::Epilogue epilogue_;
  std::int64_t batch_ = 0;
  std::int64_t in_ = 0;   // channels of one group
  std::int64_t out_ = 0;  // channels of one group
  Index size_{1, 1, 1};
  Index output_{1, 1, 1};
  Index kernel_{1, 1, 1};
  Index stride_{1, 1, 1};
  Index dilation_{1, 1, 1};
  Index before_{0, 0, 0};
};

}  // namespace

// A kernel (window, in, multiplier) is, read as (window, 1, in * multiplier), one of `in` groups.
KernelPtr make_kernel(const program::DepthwiseConv& op, const KernelSpec& spec) {
  return std::make_unique<ConvKernel>(op.window, spec.operands[0].shape.back(), op.epilogue, spec);
}

}  // namespace kerf::engine
