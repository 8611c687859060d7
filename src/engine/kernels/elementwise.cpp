#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/float_loops.h"
#include "engine/parallel.h"
#include "kerf/error.h"

// Unary, Affine and Chain: any number of steps in one pass over float elements. A tile of them at a
// time goes through all the steps, and stays in the first-level cache meanwhile.
namespace kerf::engine {
namespace {

using program::Chain;
using Kind = Chain::Step::Kind;

constexpr std::size_t kTile = 1024;

class ChainKernel final : public Kernel {
 public:
  ChainKernel(const std::vector<Chain::Step>& steps, const KernelSpec& spec)
      : loops_(float_loops()), count_(element_count(spec.results[0])) {
    if (steps.empty()) throw Error(ErrorCode::kInternal, "a chain has no steps");
    const Shape& shape = spec.results[0].shape;
    last_ = shape.rank() == 0 ? 1 : static_cast<std::size_t>(shape.back());
    std::size_t operand = 1;
    for (const Chain::Step& step : steps) {
      steps_.push_back({.step = step, .operand = operand});
      if (step.kind == Kind::kUnary) continue;
      const bool affine = step.kind == Kind::kAffine;
      steps_.back().layout = layout_of(spec.operands[operand], affine);
      operand += affine ? 2 : 1;
    }
    lay_out_tiles();
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    auto* patterns = reinterpret_cast<float*>(run.scratch);
    for (std::size_t i = 0; i < pattern_operands_.size(); ++i) {
      repeat(static_cast<const float*>(run.operands[pattern_operands_[i]]),
             patterns + i * pattern_);
    }
    parallel_ranges(
        run.pool, count_, estimated_seconds(),
        [&](std::size_t begin, std::size_t end) {
          for (std::size_t at = begin; at < end;) {
            const std::size_t offset = vectors_ && pattern_ == 0 ? at % last_ : 0;
            std::size_t length = std::min(tile_, end - at);
            if (vectors_ && pattern_ == 0) length = std::min(length, last_ - offset);
            run_tile(run, x, y, at, offset, length);
            at += length;
          }
        },
        pattern_ != 0 ? pattern_ : kTile);
    return true;
  }

  std::size_t scratch_bytes() const noexcept override {
    return pattern_operands_.size() * pattern_ * sizeof(float);
  }
  // Every element is read, for the last time, before the tile it is in is written.
  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override {
    return static_cast<double>(count_) * seconds_per_element_;
  }

 private:
  enum class Layout : std::uint8_t {
    kScalar,
    kLast,   // a vector over the last axis
    kWhole,  // the shape of x
  };
  struct PlannedStep {
    Chain::Step step;
    std::size_t operand = 0;  // the first of its operands
    Layout layout = Layout::kScalar;
    std::size_t pattern = 0;  // kLast: the place of its first operand among the patterns
  };

  Layout layout_of(const program::ValueType& operand, bool affine) const {
    const std::size_t size = element_count(operand);
    if (size == 1 && !affine) return Layout::kScalar;
    if (size == last_) return Layout::kLast;
    if (size == count_) return Layout::kWhole;
    throw Error(ErrorCode::kUnsupported, "an operand of a chain fits neither its shape nor axis");
  }

  // Vectors over a long last axis are used as they are, tile by tile of a row. Short ones are
  // repeated, so that a tile may span many rows.
  void lay_out_tiles() {
    vectors_ = std::ranges::any_of(steps_, [](const PlannedStep& step) {
      return step.step.kind != Kind::kUnary && step.layout == Layout::kLast;
    });
    constexpr std::size_t kLong = 128;
    if (vectors_ && last_ < kLong) {
      pattern_ = std::min(kTile / last_ * last_, count_);
      tile_ = pattern_;
    }
    for (PlannedStep& step : steps_) {
      const bool unary = step.step.kind == Kind::kUnary;
      seconds_per_element_ += unary ? 2e-10 : 5e-11;
      if (unary || step.layout != Layout::kLast || pattern_ == 0) continue;
      step.pattern = pattern_operands_.size();
      pattern_operands_.push_back(step.operand);
      if (step.step.kind == Kind::kAffine) pattern_operands_.push_back(step.operand + 1);
    }
  }

  void repeat(const float* vector, float* pattern) const noexcept {
    std::memcpy(pattern, vector, last_ * sizeof(float));
    for (std::size_t done = last_; done < pattern_;) {
      const std::size_t length = std::min(done, pattern_ - done);
      std::memcpy(pattern + done, pattern, length * sizeof(float));
      done += length;
    }
  }

  // The elements of an operand of `step` that belong to the tile at `at`.
  const float* operand(const KernelRun& run, const PlannedStep& step, std::size_t index,
                       std::size_t at, std::size_t offset) const noexcept {
    const auto* whole = static_cast<const float*>(run.operands[step.operand + index]);
    if (step.layout == Layout::kWhole) return whole + at;
    if (pattern_ == 0) return whole + offset;
    return reinterpret_cast<const float*>(run.scratch) + (step.pattern + index) * pattern_;
  }

  void run_tile(const KernelRun& run, const float* x, float* y, std::size_t at, std::size_t offset,
                std::size_t length) const noexcept {
    alignas(64) float buffer[kTile];
    const float* from = x + at;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const PlannedStep& step = steps_[i];
      float* to = i + 1 == steps_.size() ? y + at : buffer;
      if (step.step.kind == Kind::kUnary) {
        loops_.activate(step.step.activation, from, to, length);
      } else if (step.step.kind == Kind::kAffine) {
        loops_.affine(from, operand(run, step, 0, at, offset), operand(run, step, 1, at, offset),
                      to, length);
      } else if (step.layout == Layout::kScalar) {
        const float other = *static_cast<const float*>(run.operands[step.operand]);
        if (step.step.swapped) {
          loops_.scalar_binary(step.step.binary, other, from, to, length);
        } else {
          loops_.binary_scalar(step.step.binary, from, other, to, length);
        }
      } else {
        const float* other = operand(run, step, 0, at, offset);
        loops_.binary(step.step.binary, step.step.swapped ? other : from,
                      step.step.swapped ? from : other, to, length);
      }
      from = to;
    }
  }

  FloatLoops loops_;
  std::vector<PlannedStep> steps_;
  std::size_t count_;
  std::size_t last_ = 1;
  bool vectors_ = false;     // some operand is a vector over the last axis
  std::size_t pattern_ = 0;  // elements of a repeated vector; 0: they are used as they are
  std::size_t tile_ = kTile;
  std::vector<std::size_t> pattern_operands_;
  double seconds_per_element_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Chain& op, const KernelSpec& spec) {
  return std::make_unique<ChainKernel>(op.steps, spec);
}

KernelPtr make_kernel(const program::Unary& op, const KernelSpec& spec) {
  return std::make_unique<ChainKernel>(
      std::vector<Chain::Step>{{.kind = Kind::kUnary, .activation = op.activation}}, spec);
}

KernelPtr make_kernel(const program::Affine&, const KernelSpec& spec) {
  return std::make_unique<ChainKernel>(std::vector<Chain::Step>{{.kind = Kind::kAffine}}, spec);
}

}  // namespace kerf::engine
