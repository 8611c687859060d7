#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

// Softmax and sparsemax along one axis.
namespace kerf::engine {
namespace {

class SoftmaxKernel final : public Kernel {
 public:
  SoftmaxKernel(const program::Softmax& op, const KernelSpec& spec)
      : split_(split_at(spec.results[0].shape, op.axis)),
        log_(op.log),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 3e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    parallel_ranges(
        run.pool, split_.outer * split_.inner, seconds_, [&](std::size_t begin, std::size_t end) {
          for (std::size_t i = begin; i < end; ++i) {
            const std::size_t at = i / split_.inner * split_.size * split_.inner + i % split_.inner;
            softmax(x + at, y + at);
          }
        });
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  void softmax(const float* x, float* y) const noexcept {
    const std::size_t step = split_.inner;
    const std::size_t end = split_.size * step;
    float top = x[0];
    for (std::size_t i = 0; i < end; i += step) top = x[i] > top || x[i] != x[i] ? x[i] : top;
    float sum = 0;
    if (log_) {
      for (std::size_t i = 0; i < end; i += step) sum += std::exp(x[i] - top);
      const float shift = std::log(sum);
      for (std::size_t i = 0; i < end; i += step) y[i] = x[i] - top - shift;
      return;
    }
    for (std::size_t i = 0; i < end; i += step) {
      y[i] = std::exp(x[i] - top);
      sum += y[i];
    }
    for (std::size_t i = 0; i < end; i += step) y[i] /= sum;
  }

  AxisSplit split_;
  bool log_;
  double seconds_;
};

class SparsemaxKernel final : public Kernel {
 public:
  explicit SparsemaxKernel(const KernelSpec& spec)
      : split_(split_at(spec.results[0].shape, -1)),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 1e-8) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    const std::size_t n = split_.size;
    parallel_ranges(run.pool, split_.outer, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        const float* from = x + row * n;
        float* to = y + row * n;
        const float tau = threshold(from, to);
        for (std::size_t i = 0; i < n; ++i) {
          const float above = from[i] - tau;
          to[i] = above > 0 || above != above ? above : 0;
        }
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  // In float and in sorted order, as Keras does: one element more or less changes the result.
  float threshold(const float* x, float* sorted) const noexcept {
    const std::size_t n = split_.size;
    for (std::size_t i = 0; i < n; ++i) {
      if (x[i] != x[i]) return x[i];
      sorted[i] = x[i];
    }
    std::sort(sorted, sorted + n, std::greater<>());
    float partial = 0;
    double sum = 0;
    std::size_t count = 0;
    for (std::size_t i = 0; i < n; ++i) {
      partial += sorted[i];
      if (!(sorted[i] - (partial - 1) / static_cast<float>(i + 1) > 0)) continue;
      sum += partial;
      ++count;
    }
    return static_cast<float>((sum - 1) / static_cast<double>(count));
  }

  AxisSplit split_;
  double seconds_;
};

}  // namespace

KernelPtr make_kernel(const program::Softmax& op, const KernelSpec& spec) {
  return std::make_unique<SoftmaxKernel>(op, spec);
}

KernelPtr make_kernel(const program::Sparsemax&, const KernelSpec& spec) {
  return std::make_unique<SparsemaxKernel>(spec);
}

}  // namespace kerf::engine
