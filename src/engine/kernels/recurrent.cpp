#include <algorithm>

#include "engine/kernel.h"
#include "engine/kernels/activation.h"

namespace kerf::engine {
namespace {

using Cell = program::Recurrent::Cell;

class RecurrentKernel final : public Kernel {
 public:
  RecurrentKernel(const program::Recurrent& op, const KernelSpec& spec)
      : op_(op),
        batch_(static_cast<std::size_t>(spec.operands[0].shape[0])),
        steps_(static_cast<std::size_t>(spec.operands[0].shape[1])),
        in_(static_cast<std::size_t>(spec.operands[0].shape[2])),
        units_(static_cast<std::size_t>(spec.operands[2].shape[0])),
        width_(static_cast<std::size_t>(spec.operands[2].shape[1])) {}

  // Gates from the input, gates from the state, output of the last step, and r * h.
  std::size_t scratch_bytes() const noexcept override {
    return (2 * width_ + 3 * units_) * sizeof(float);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto operand = [&](std::size_t i) { return static_cast<const float*>(run.operands[i]); };
    std::size_t next = 3;
    const float* bias = op_.bias ? operand(next++) : nullptr;
    const auto* mask = op_.mask ? static_cast<const bool*>(run.operands[next++]) : nullptr;
    const bool lstm = op_.cell == Cell::kLstm;
    const float* h0 = op_.initial_state ? operand(next++) : nullptr;
    const float* c0 = op_.initial_state && lstm ? operand(next) : nullptr;
    auto* gates = reinterpret_cast<float*>(run.scratch);
    float* state_gates = gates + width_;
    float* last = state_gates + width_;
    float* reset = last + units_;
    float* spare = reset + units_;
    for (std::size_t n = 0; n < batch_; ++n) {
      float* h = static_cast<float*>(run.results[1]) + n * units_;
      float* c = lstm ? static_cast<float*>(run.results[2]) + n * units_ : spare;
      const auto start = [&](const float* from, float* to) {
        for (std::size_t u = 0; u < units_; ++u) to[u] = from != nullptr ? from[n * units_ + u] : 0;
      };
      start(h0, h);
      start(c0, c);
      std::fill_n(last, units_, 0.0F);
      for (std::size_t i = 0; i < steps_; ++i) {
        const std::size_t t = op_.backwards ? steps_ - 1 - i : i;
        if (mask == nullptr || mask[n * steps_ + t]) {
          step(operand(0) + (n * steps_ + t) * in_, operand(1), operand(2), bias, gates,
               state_gates, reset, h, c);
          std::copy_n(h, units_, last);
        } else if (op_.zero_output_for_mask) {
          std::fill_n(last, units_, 0.0F);
        }
        if (op_.sequences) {
          std::copy_n(last, units_,
                      static_cast<float*>(run.results[0]) + (n * steps_ + i) * units_);
        }
      }
      if (!op_.sequences) {
        std::copy_n(last, units_, static_cast<float*>(run.results[0]) + n * units_);
      }
    }
    return true;
  }

  double estimated_seconds() const noexcept override {
    return 2e-10 * static_cast<double>(batch_ * steps_) * static_cast<double>(width_) *
           static_cast<double>(in_ + units_);
  }

 private:
  // to[j] = bias[j] + sum_i from[i] * w[i, first + j].
  void product(const float* from, std::size_t count, const float* w, const float* bias,
               std::size_t first, std::size_t columns, float* to) const noexcept {
    for (std::size_t j = 0; j < columns; ++j) {
      float sum = bias != nullptr ? bias[first + j] : 0;
      for (std::size_t i = 0; i < count; ++i) sum += from[i] * w[i * width_ + first + j];
      to[first + j] = sum;
    }
  }

  void step(const float* x, const float* w, const float* recurrent, const float* bias, float* a,
            float* g, float* reset, float* h, float* c) const noexcept {
    const auto gate = [&](float v) { return apply(op_.recurrent_activation, v); };
    const auto act = [&](float v) { return apply(op_.activation, v); };
    const std::size_t u = units_;
    product(x, in_, w, bias, 0, width_, a);
    const float* second =
        bias != nullptr && op_.cell == Cell::kGruResetAfter ? bias + width_ : nullptr;
    product(h, u, recurrent, second, 0, op_.cell == Cell::kGru ? 2 * u : width_, g);
    switch (op_.cell) {
      case Cell::kSimple:
        for (std::size_t i = 0; i < u; ++i) h[i] = act(a[i] + g[i]);
        break;
      case Cell::kLstm:
        for (std::size_t i = 0; i < u; ++i) {
          const float in = gate(a[i] + g[i]);
          const float forget = gate(a[u + i] + g[u + i]);
          c[i] = forget * c[i] + in * act(a[2 * u + i] + g[2 * u + i]);
          h[i] = gate(a[3 * u + i] + g[3 * u + i]) * act(c[i]);
        }
        break;
      case Cell::kGru:
        for (std::size_t i = 0; i < u; ++i) reset[i] = gate(a[u + i] + g[u + i]) * h[i];
        product(reset, u, recurrent, nullptr, 2 * u, u, g);
        for (std::size_t i = 0; i < u; ++i) {
          const float z = gate(a[i] + g[i]);
          h[i] = z * h[i] + (1 - z) * act(a[2 * u + i] + g[2 * u + i]);
        }
        break;
      case Cell::kGruResetAfter:
        for (std::size_t i = 0; i < u; ++i) {
          const float z = gate(a[i] + g[i]);
          const float r = gate(a[u + i] + g[u + i]);
          h[i] = z * h[i] + (1 - z) * act(a[2 * u + i] + r * g[2 * u + i]);
        }
        break;
    }
  }

  program::Recurrent op_;
  std::size_t batch_;
  std::size_t steps_;
  std::size_t in_;
  std::size_t units_;
  std::size_t width_;
};

}  // namespace

KernelPtr make_kernel(const program::Recurrent& op, const KernelSpec& spec) {
  return std::make_unique<RecurrentKernel>(op, spec);
}

}  // namespace kerf::engine
