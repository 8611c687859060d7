#include <cstdint>
#include <memory>
#include <type_traits>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/numeric.h"
#include "engine/parallel.h"

// ArgReduce and Cumulate: one walk along an axis for each line of elements.
namespace kerf::engine {
namespace {

// An int32 for each line: no dimension that a tensor in memory has is larger.
template <typename T>
class ArgReduceKernel final : public Kernel {
 public:
  ArgReduceKernel(const program::ArgReduce& op, const KernelSpec& spec)
      : split_(split_at(spec.operands[0].shape, op.axis)),
        largest_(op.kind == program::ArgReduce::Kind::kMax),
        seconds_(static_cast<double>(element_count(spec.operands[0])) * 1e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const T*>(run.operands[0]);
    auto* y = static_cast<std::int32_t*>(run.results[0]);
    parallel_ranges(run.pool, split_.outer * split_.inner, seconds_,
                    [&](std::size_t begin, std::size_t end) {
                      for (std::size_t i = begin; i < end; ++i) {
                        const std::size_t start =
                            i / split_.inner * split_.size * split_.inner + i % split_.inner;
                        y[i] = best(x + start);
                      }
                    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  bool better(T a, T b) const noexcept {
    if constexpr (std::is_same_v<T, Truth>) {
      return a.value() != b.value() && a.value() == largest_;
    } else {
      if (b != b) return false;
      return a != a || (largest_ ? a > b : a < b);
    }
  }
  std::int32_t best(const T* line) const noexcept {
    std::size_t at = 0;
    for (std::size_t i = 1; i < split_.size; ++i) {
      if (better(line[i * split_.inner], line[at * split_.inner])) at = i;
    }
    return static_cast<std::int32_t>(at);
  }

  AxisSplit split_;
  bool largest_;
  double seconds_;
};

template <typename T>
class CumulateKernel final : public Kernel {
 public:
  CumulateKernel(const program::Cumulate& op, const KernelSpec& spec)
      : split_(split_at(spec.operands[0].shape, op.axis)),
        sum_(op.kind == program::Cumulate::Kind::kSum),
        seconds_(static_cast<double>(element_count(spec.operands[0])) * 1e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    // Floats are gathered in double; integers wrap around.
    using State = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
    const auto* x = static_cast<const T*>(run.operands[0]);
    auto* y = static_cast<T*>(run.results[0]);
    const std::size_t inner = split_.inner;
    parallel_ranges(run.pool, split_.outer * inner, seconds_,
                    [&](std::size_t begin, std::size_t end) {
                      for (std::size_t i = begin; i < end; ++i) {
                        const std::size_t start = i / inner * split_.size * inner + i % inner;
                        State state = sum_ ? 0 : 1;
                        for (std::size_t j = 0; j < split_.size; ++j) {
                          const auto value = static_cast<State>(x[start + j * inner]);
                          state = sum_ ? state + value : state * value;
                          y[start + j * inner] = static_cast<T>(state);
                        }
                      }
                    });
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  AxisSplit split_;
  bool sum_;
  double seconds_;
};

}  // namespace

KernelPtr make_kernel(const program::ArgReduce& op, const KernelSpec& spec) {
  return visit_numeric(spec.operands[0].dtype, "ArgReduce", [&](auto value) -> KernelPtr {
    return std::make_unique<ArgReduceKernel<decltype(value)>>(op, spec);
  });
}

KernelPtr make_kernel(const program::Cumulate& op, const KernelSpec& spec) {
  return visit_numeric(spec.operands[0].dtype, "Cumulate", [&](auto value) -> KernelPtr {
    using T = decltype(value);
    if constexpr (std::is_same_v<T, Truth>) {
      throw Error(ErrorCode::kUnsupported, "bools have no sums");
    } else {
      return std::make_unique<CumulateKernel<T>>(op, spec);
    }
  });
}

}  // namespace kerf::engine
