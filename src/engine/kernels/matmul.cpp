#include "engine/kernel.h"

namespace kerf::engine {
namespace {

class MatMulKernel final : public Kernel {
 public:
  MatMulKernel(const program::MatMul& op, const KernelSpec& spec) : op_(op) {
    const Shape& a = spec.operands[0].shape;
    const Shape& y = spec.results[0].shape;
    for (std::size_t i = 0; i + 2 < y.rank(); ++i) batch_ *= static_cast<std::size_t>(y[i]);
    m_ = static_cast<std::size_t>(y[y.rank() - 2]);
    n_ = static_cast<std::size_t>(y[y.rank() - 1]);
    k_ = static_cast<std::size_t>(a[a.rank() - (op.transpose_a ? 2 : 1)]);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* a = static_cast<const float*>(run.operands[0]);
    const auto* b = static_cast<const float*>(run.operands[1]);
    auto* y = static_cast<float*>(run.results[0]);
    for (std::size_t batch = 0; batch < batch_; ++batch) {
      for (std::size_t i = 0; i < m_; ++i) {
        for (std::size_t j = 0; j < n_; ++j) {
          float sum = 0;
          for (std::size_t k = 0; k < k_; ++k) {
            sum += a[op_.transpose_a ? k * m_ + i : i * k_ + k] *
                   b[op_.transpose_b ? j * k_ + k : k * n_ + j];
          }
          *y++ = sum * op_.scale;
        }
      }
      a += m_ * k_;
      b += k_ * n_;
    }
    return true;
  }

  double estimated_seconds() const noexcept override {
    return 2e-10 * static_cast<double>(batch_) * static_cast<double>(m_) * static_cast<double>(n_) *
           static_cast<double>(k_);
  }

 private:
  program::MatMul op_;
  std::size_t batch_ = 1;
  std::size_t m_ = 0;
  std::size_t n_ = 0;
  std::size_t k_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::MatMul& op, const KernelSpec& spec) {
  return std::make_unique<MatMulKernel>(op, spec);
}

}  // namespace kerf::engine
