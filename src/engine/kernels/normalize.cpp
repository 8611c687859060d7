#include <algorithm>
#include <cmath>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

// Layer normalisation and division by the l2 norm.
namespace kerf::engine {
namespace {

class LayerNormKernel final : public Kernel {
 public:
  LayerNormKernel(const program::LayerNorm& op, const KernelSpec& spec) : op_(op) {
    const Shape& shape = spec.results[0].shape;
    for (std::size_t i = 0; i < shape.rank(); ++i) {
      (i + op.axes < shape.rank() ? rows_ : columns_) *= static_cast<std::size_t>(shape[i]);
    }
    seconds_ = static_cast<double>(rows_ * columns_) * 2e-9;
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    const float* gamma = op_.gamma ? static_cast<const float*>(run.operands[1]) : nullptr;
    const float* beta =
        op_.beta ? static_cast<const float*>(run.operands[op_.gamma ? 2 : 1]) : nullptr;
    parallel_ranges(run.pool, rows_, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        normalize(x + row * columns_, y + row * columns_, gamma, beta);
      }
    });
    return true;
  }

  bool may_overwrite(std::size_t operand) const noexcept override { return operand == 0; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  void normalize(const float* x, float* y, const float* gamma, const float* beta) const noexcept {
    double sum = 0;
    for (std::size_t i = 0; i < columns_; ++i) sum += x[i];
    const double mean = sum / static_cast<double>(columns_);
    double squares = 0;
    for (std::size_t i = 0; i < columns_; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double variance = squares / static_cast<double>(columns_);
    const auto scale = static_cast<float>(1 / std::sqrt(variance + op_.epsilon));
    const float center = op_.center_mean ? static_cast<float>(mean) : 0.0F;
    for (std::size_t i = 0; i < columns_; ++i) {
      float value = (x[i] - center) * scale;
      if (gamma != nullptr) value *= gamma[i];
      if (beta != nullptr) value += beta[i];
      y[i] = value;
    }
  }

  program::LayerNorm op_;
  std::size_t rows_ = 1;
  std::size_t columns_ = 1;
  double seconds_ = 0;
};

class L2NormalizeKernel final : public Kernel {
 public:
  L2NormalizeKernel(const program::L2Normalize& op, const KernelSpec& spec)
      : split_(split_at(spec.results[0].shape, op.axis)),
        epsilon_(op.epsilon),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 1e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    const std::size_t step = split_.inner;
    const std::size_t length = split_.size * step;
    parallel_ranges(run.pool, split_.outer * step, seconds_,
                    [&](std::size_t begin, std::size_t end) {
                      for (std::size_t i = begin; i < end; ++i) {
                        const std::size_t at = i / step * length + i % step;
                        double squares = 0;
                        for (std::size_t j = at; j < at + length; j += step) {
                          squares += static_cast<double>(x[j]) * x[j];
                        }
                        const auto norm = static_cast<float>(std::sqrt(squares));
                        const float divisor = norm < epsilon_ ? epsilon_ : norm;
                        for (std::size_t j = at; j < at + length; j += step) y[j] = x[j] / divisor;
                      }
                    });
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  AxisSplit split_;
  float epsilon_;
  double seconds_;
};

}  // namespace

KernelPtr make_kernel(const program::LayerNorm& op, const KernelSpec& spec) {
  return std::make_unique<LayerNormKernel>(op, spec);
}

KernelPtr make_kernel(const program::L2Normalize& op, const KernelSpec& spec) {
  return std::make_unique<L2NormalizeKernel>(op, spec);
}

}  // namespace kerf::engine
