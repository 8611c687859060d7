#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/activation.h"

namespace kerf::engine {
namespace {

class LinearKernel final : public Kernel {
 public:
  LinearKernel(const program::Linear& op, const KernelSpec& spec)
      : epilogue_(op.epilogue),
        in_(static_cast<std::size_t>(spec.operands[1].shape[0])),
        out_(static_cast<std::size_t>(spec.operands[1].shape[1])),
        rows_(0) {
    const Shape& y = spec.results[0].shape;
    rows_ = 1;
    for (std::size_t i = 0; i + 1 < y.rank(); ++i) rows_ *= static_cast<std::size_t>(y[i]);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    const auto* w = static_cast<const float*>(run.operands[1]);
    std::size_t next = 2;
    const auto* bias = epilogue_.bias ? static_cast<const float*>(run.operands[next++]) : nullptr;
    const auto* residual =
        epilogue_.residual ? static_cast<const float*>(run.operands[next]) : nullptr;
    auto* y = static_cast<float*>(run.results[0]);
    for (std::size_t row = 0; row < rows_; ++row) {
      for (std::size_t o = 0; o < out_; ++o) {
        float sum = 0;
        for (std::size_t i = 0; i < in_; ++i) sum += x[row * in_ + i] * w[i * out_ + o];
        if (bias != nullptr) sum += bias[o];
        if (residual != nullptr) sum += residual[row * out_ + o];
        y[row * out_ + o] = apply(epilogue_.activation, sum);
      }
    }
    return true;
  }

  double estimated_seconds() const noexcept override {
    return 2e-10 * static_cast<double>(rows_) * static_cast<double>(in_) *
           static_cast<double>(out_);
  }

 private:
  program::Epilogue epilogue_;
  std::size_t in_;
  std::size_t out_;
  std::size_t rows_;
};

}  // namespace

KernelPtr make_kernel(const program::Linear& op, const KernelSpec& spec) {
  return std::make_unique<LinearKernel>(op, spec);
}

}  // namespace kerf::engine
