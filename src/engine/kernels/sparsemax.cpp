#include <algorithm>
#include <functional>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

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

KernelPtr make_kernel(const program::Sparsemax&, const KernelSpec& spec) {
  return std::make_unique<SparsemaxKernel>(spec);
}

}  // namespace kerf::engine
