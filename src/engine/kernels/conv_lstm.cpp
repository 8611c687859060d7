#include <algorithm>
#include <array>

#include "engine/kernel.h"
#include "engine/kernels/activate.h"
#include "engine/kernels/axes.h"

namespace kerf::engine {
namespace {

using program::ValueType;

// One sequence after another; each step is a convolution of the state, onto the input's gates.
class ConvLstmKernel final : public Kernel {
 public:
  ConvLstmKernel(const program::ConvLstm& op, const KernelSpec& spec)
      : op_(op), activate_(activate_block_function()) {
    const Shape& x = spec.operands[0].shape;
    batch_ = static_cast<std::size_t>(x[0]);
    steps_ = static_cast<std::size_t>(x[1]);
    filters_ = static_cast<std::size_t>(x.back() / 4);
    Shape gates{1};
    for (std::size_t axis = 2; axis < x.rank(); ++axis) gates.push_back(x[axis]);
    Shape state = gates;
    state[state.rank() - 1] = x.back() / 4;
    cells_ = static_cast<std::size_t>(state.element_count()) / filters_;

    program::Conv conv{.window = {.rank = x.rank() - 3, .padding = program::Padding::kSame},
                       .epilogue = {.residual = true}};
    for (std::size_t i = 0; i < conv.window.rank; ++i) {
      conv.window.size[i] = spec.operands[1].shape[i];
    }
    const std::array<ValueType, 3> operands{ValueType{DType::kFloat32, state}, spec.operands[1],
                                            ValueType{DType::kFloat32, gates}};
    const std::array<ValueType, 1> results{ValueType{DType::kFloat32, gates}};
    const std::array<Constant, 3> constants{Constant(), spec.constants[1], Constant()};
    conv_ = make_kernel(
        conv, {operands, results, constants, spec.cache, spec.precision, spec.keep_exact});
  }

  bool run(const KernelRun& run) const noexcept override {
    std::size_t next = 2;
    const auto* mask = op_.mask ? static_cast<const bool*>(run.operands[next++]) : nullptr;
    const std::size_t size = cells_ * filters_;
    for (std::size_t n = 0; n < batch_; ++n) {
      float* h = static_cast<float*>(run.results[1]) + n * size;
      float* c = static_cast<float*>(run.results[2]) + n * size;
      for (std::size_t i = 0; i < 2; ++i) {
        float* to = i == 0 ? h : c;
        if (op_.initial_state) {
          std::copy_n(static_cast<const float*>(run.operands[next + i]) + n * size, size, to);
        } else {
          std::fill_n(to, size, 0.0F);
        }
      }
      sequence(run, n, mask, h, c);
    }
    return true;
  }

  bool reads(std::size_t operand) const noexcept override {
    return operand != 1 || conv_->reads(1);
  }
  std::size_t scratch_bytes() const noexcept override {
    return gate_bytes() + state_bytes() + conv_->scratch_bytes();
  }
  double estimated_seconds() const noexcept override {
    return static_cast<double>(batch_ * steps_) *
           (conv_->estimated_seconds() + static_cast<double>(cells_ * filters_) * 5e-9);
  }

 private:
  static std::size_t round_up(std::size_t bytes) { return (bytes + 63) / 64 * 64; }
  std::size_t gate_bytes() const noexcept {
    return round_up(cells_ * 4 * filters_ * sizeof(float));
  }
  std::size_t state_bytes() const noexcept { return round_up(cells_ * filters_ * sizeof(float)); }

  void sequence(const KernelRun& run, std::size_t n, const bool* mask, float* h,
                float* c) const noexcept {
    const std::size_t size = cells_ * filters_;
    auto* const last = reinterpret_cast<float*>(run.scratch + gate_bytes());
    std::fill_n(last, size, 0.0F);
    for (std::size_t i = 0; i < steps_; ++i) {
      const std::size_t t = op_.backwards ? steps_ - 1 - i : i;
      if (mask == nullptr || mask[n * steps_ + t]) {
        step(run, static_cast<const float*>(run.operands[0]) + (n * steps_ + t) * 4 * size, h, c);
        std::copy_n(h, size, last);
      } else if (op_.zero_output_for_mask) {
        std::fill_n(last, size, 0.0F);
      }
      if (op_.sequences) {
        std::copy_n(last, size, static_cast<float*>(run.results[0]) + (n * steps_ + i) * size);
      }
    }
    if (!op_.sequences) std::copy_n(last, size, static_cast<float*>(run.results[0]) + n * size);
  }

  void step(const KernelRun& run, const float* x, float* h, float* c) const noexcept {
    auto* const gates = reinterpret_cast<float*>(run.scratch);
    const std::array<const void*, 3> operands{h, run.operands[1], x};
    const std::array<void*, 1> results{gates};
    conv_->run({.operands = operands.data(),
                .results = results.data(),
                .scratch = run.scratch + gate_bytes() + state_bytes(),
                .pool = run.pool,
                .failure = run.failure});
    const std::size_t f = filters_;
    activate_(op_.recurrent_activation, gates, cells_, 2 * f, 4 * f);
    activate_(op_.activation, gates + 2 * f, cells_, f, 4 * f);
    activate_(op_.recurrent_activation, gates + 3 * f, cells_, f, 4 * f);
    for (std::size_t cell = 0; cell < cells_; ++cell) {
      const float* gate = gates + cell * 4 * f;
      for (std::size_t u = 0; u < f; ++u) {
        float& carry = c[cell * f + u];
        carry = gate[f + u] * carry + gate[u] * gate[2 * f + u];
        h[cell * f + u] = carry;
      }
    }
    activate_(op_.activation, h, cells_, f, f);
    for (std::size_t cell = 0; cell < cells_; ++cell) {
      for (std::size_t u = 0; u < f; ++u) h[cell * f + u] *= gates[(cell * 4 + 3) * f + u];
    }
  }

  program::ConvLstm op_;
  ActivateBlockFunction activate_;
  KernelPtr conv_;
  std::size_t batch_ = 0;
  std::size_t steps_ = 0;
  std::size_t filters_ = 1;
  std::size_t cells_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::ConvLstm& op, const KernelSpec& spec) {
  return std::make_unique<ConvLstmKernel>(op, spec);
}

}  // namespace kerf::engine
