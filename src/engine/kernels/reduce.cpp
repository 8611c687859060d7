#include <algorithm>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/numeric.h"
#include "engine/kernels/reduce.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

using Kind = program::Reduce::Kind;

template <Kind kKind, typename T>
struct Reduction {
  // Sums of integers wrap around; those of floats are kept in double.
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;
  static constexpr bool kSums =
      kKind == Kind::kSum || kKind == Kind::kMean || kKind == Kind::kProduct;
  using State = std::conditional_t<kSums, Sum, T>;

  static State initial() noexcept {
    using Limits = std::numeric_limits<T>;
    if constexpr (kSums) {
      return kKind == Kind::kProduct ? 1 : 0;
    } else if constexpr (std::is_same_v<T, Truth>) {
      return Truth(kKind == Kind::kAll);
    } else if constexpr (kKind == Kind::kMax) {
      return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
    } else {
      return Limits::has_infinity ? Limits::infinity() : Limits::max();
    }
  }

  static State add(State state, T x) noexcept {
    if constexpr (kKind == Kind::kProduct) {
      return state * static_cast<State>(x);
    } else if constexpr (kSums) {
      return state + static_cast<State>(x);
    } else if constexpr (kKind == Kind::kAny) {
      return Truth(state.value() || x.value());
    } else if constexpr (kKind == Kind::kAll) {
      return Truth(state.value() && x.value());
    } else if constexpr (kKind == Kind::kMax) {
      return x > state || x != x ? x : state;
    } else {
      return x < state || x != x ? x : state;
    }
  }

  static T finish(State state, std::size_t count) noexcept {
    if constexpr (kKind == Kind::kMean) {
      if constexpr (std::is_floating_point_v<T>) {
        return static_cast<T>(state / static_cast<double>(count));
      } else {
        if (count == 0) return T{};
        return static_cast<T>(static_cast<std::int64_t>(state) / static_cast<std::int64_t>(count));
      }
    }
    if constexpr (std::is_same_v<T, Truth>) {
      return state;
    } else {
      return static_cast<T>(state);
    }
  }
};

template <Kind kKind, typename T>
class ReduceKernel final : public Kernel {
 public:
  ReduceKernel(const std::vector<std::int64_t>& axes, const KernelSpec& spec)
      : loops_(axes, spec.operands[0].shape),
        seconds_(static_cast<double>(element_count(spec.operands[0])) * 1e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    using R = Reduction<kKind, T>;
    const auto* x = static_cast<const T*>(run.operands[0]);
    auto* y = static_cast<T*>(run.results[0]);
    const std::size_t columns = loops_.kept.columns();
    const std::size_t step = loops_.kept.strides[0][loops_.kept.rank - 1];
    const std::size_t reduced_columns = loops_.reduced.columns();
    const std::size_t reduced_step = loops_.reduced.strides[0][loops_.reduced.rank - 1];
    const std::size_t reduced_rows = loops_.reduced.rows();
    parallel_ranges(run.pool, loops_.kept.rows() * columns, seconds_,
                    [&](std::size_t begin, std::size_t end) {
                      for (std::size_t i = begin; i < end; ++i) {
                        const T* from = x + loops_.kept.at(i / columns)[0] + i % columns * step;
                        auto state = R::initial();
                        for (std::size_t row = 0; row < reduced_rows; ++row) {
                          const T* p = from + loops_.reduced.at(row)[0];
                          for (std::size_t j = 0; j < reduced_columns; ++j) {
                            state = R::add(state, p[j * reduced_step]);
                          }
                        }
                        y[i] = R::finish(state, reduced_rows * reduced_columns);
                      }
                    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  ReduceLoops loops_;
  double seconds_;
};

template <typename T>
KernelPtr make_reduce(const program::Reduce& op, const KernelSpec& spec) {
  switch (op.kind) {
    case Kind::kSum:
      return std::make_unique<ReduceKernel<Kind::kSum, T>>(op.axes, spec);
    case Kind::kMean:
      return std::make_unique<ReduceKernel<Kind::kMean, T>>(op.axes, spec);
    case Kind::kMax:
      return std::make_unique<ReduceKernel<Kind::kMax, T>>(op.axes, spec);
    case Kind::kMin:
      return std::make_unique<ReduceKernel<Kind::kMin, T>>(op.axes, spec);
    case Kind::kProduct:
      return std::make_unique<ReduceKernel<Kind::kProduct, T>>(op.axes, spec);
    default:
      throw Error(ErrorCode::kUnsupported, "any and all need a bool tensor");
  }
}

}  // namespace

KernelPtr make_kernel(const program::Reduce& op, const KernelSpec& spec) {
  if (op.kind == Kind::kAny)
    return std::make_unique<ReduceKernel<Kind::kAny, Truth>>(op.axes, spec);
  if (op.kind == Kind::kAll)
    return std::make_unique<ReduceKernel<Kind::kAll, Truth>>(op.axes, spec);
  if (spec.operands[0].dtype == DType::kFloat32 && op.kind != Kind::kProduct) {
    return make_float_reduce(op, spec);
  }
  return visit_numeric(spec.operands[0].dtype, "Reduce", [&](auto value) -> KernelPtr {
    using T = decltype(value);
    if constexpr (std::is_same_v<T, Truth>) {
      throw Error(ErrorCode::kUnsupported, "bool tensors are reduced by any and all only");
    } else {
      return make_reduce<T>(op, spec);
    }
  });
}

}  // namespace kerf::engine
