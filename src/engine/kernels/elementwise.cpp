#include <cmath>
#include <memory>
#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/activation.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"
#include "kerf/error.h"

// Unary, Affine and Chain: one pass over float elements.
namespace kerf::engine {
namespace {

using program::Binary;
using program::Chain;

float combine(Binary::Kind kind, float a, float b) noexcept {
  switch (kind) {
    case Binary::Kind::kAdd:
      return a + b;
    case Binary::Kind::kSubtract:
      return a - b;
    case Binary::Kind::kMultiply:
      return a * b;
    case Binary::Kind::kDivide:
      return a / b;
    case Binary::Kind::kMaximum:
      return a > b || a != a ? a : b;
    case Binary::Kind::kMinimum:
      return a < b || a != a ? a : b;
    default:
      return std::pow(a, b);
  }
}

class ChainKernel final : public Kernel {
 public:
  ChainKernel(std::vector<Chain::Step> steps, const KernelSpec& spec)
      : steps_(std::move(steps)),
        count_(element_count(spec.results[0])),
        last_(spec.results[0].shape.rank() == 0
                  ? 1
                  : static_cast<std::size_t>(spec.results[0].shape.back())) {
    std::size_t next = 1;
    for (const Chain::Step& step : steps_) {
      if (step.kind == Chain::Step::Kind::kUnary) {
        layouts_.push_back(Layout::kNone);
        continue;
      }
      const std::size_t size = element_count(spec.operands[next]);
      layouts_.push_back(size == 1        ? Layout::kScalar
                         : size == count_ ? Layout::kWhole
                                          : Layout::kLast);
      if (size != 1 && size != count_ && size != last_) {
        throw Error(ErrorCode::kUnsupported, "an operand of a chain fits neither shape nor axis");
      }
      next += step.kind == Chain::Step::Kind::kAffine ? 2 : 1;
    }
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    parallel_ranges(run.pool, count_, estimated_seconds(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        float value = x[i];
        std::size_t next = 1;
        for (std::size_t s = 0; s < steps_.size(); ++s) {
          const Chain::Step& step = steps_[s];
          const std::size_t at = layouts_[s] == Layout::kScalar  ? 0
                                 : layouts_[s] == Layout::kWhole ? i
                                                                 : i % last_;
          if (step.kind == Chain::Step::Kind::kUnary) {
            value = apply(step.activation, value);
          } else if (step.kind == Chain::Step::Kind::kBinary) {
            const float other = static_cast<const float*>(run.operands[next++])[at];
            value = step.swapped ? combine(step.binary, other, value)
                                 : combine(step.binary, value, other);
          } else {
            const float scale = static_cast<const float*>(run.operands[next])[at];
            const float shift = static_cast<const float*>(run.operands[next + 1])[at];
            next += 2;
            value = value * scale + shift;
          }
        }
        y[i] = value;
      }
    });
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override {
    return static_cast<double>(count_ * steps_.size()) * 1e-9;
  }

 private:
  enum class Layout : std::uint8_t { kNone, kScalar, kLast, kWhole };
  std::vector<Chain::Step> steps_;
  std::vector<Layout> layouts_;
  std::size_t count_;
  std::size_t last_;
};

}  // namespace

KernelPtr make_kernel(const program::Chain& op, const KernelSpec& spec) {
  return std::make_unique<ChainKernel>(op.steps, spec);
}

KernelPtr make_kernel(const program::Unary& op, const KernelSpec& spec) {
  return std::make_unique<ChainKernel>(
      std::vector<Chain::Step>{{.kind = Chain::Step::Kind::kUnary, .activation = op.activation}},
      spec);
}

KernelPtr make_kernel(const program::Affine&, const KernelSpec& spec) {
  return std::make_unique<ChainKernel>(
      std::vector<Chain::Step>{{.kind = Chain::Step::Kind::kAffine}}, spec);
}

}  // namespace kerf::engine
