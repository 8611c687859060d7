#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <memory>
#include <type_traits>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/numeric.h"
#include "engine/parallel.h"

// Operations of two or three operands, element by element, with broadcasting.
namespace kerf::engine {
namespace {

using Kind = program::Binary::Kind;

template <Kind kKind, typename T>
bool compare(T a, T b) noexcept {
  if constexpr (kKind == Kind::kEqual) return a == b;
  if constexpr (kKind == Kind::kNotEqual) return a != b;
  if constexpr (kKind == Kind::kGreater) return a > b;
  if constexpr (kKind == Kind::kGreaterEqual) return a >= b;
  if constexpr (kKind == Kind::kLess) return a < b;
  return a <= b;
}

// Sums and products of bools are their or and and.
template <Kind kKind>
bool combine(Truth a, Truth b) noexcept {
  constexpr bool kAnd = kKind == Kind::kAnd || kKind == Kind::kMultiply || kKind == Kind::kMinimum;
  constexpr bool kOr = kKind == Kind::kOr || kKind == Kind::kAdd || kKind == Kind::kMaximum;
  if constexpr (kAnd) {
    return a.value() && b.value();
  } else if constexpr (kOr) {
    return a.value() || b.value();
  } else {
    return compare<kKind>(a.value(), b.value());
  }
}

template <Kind kKind, std::floating_point T>
T combine(T a, T b) noexcept {
  if constexpr (kKind == Kind::kAdd) return a + b;
  if constexpr (kKind == Kind::kSubtract) return a - b;
  if constexpr (kKind == Kind::kMultiply) return a * b;
  if constexpr (kKind == Kind::kDivide) return a / b;
  if constexpr (kKind == Kind::kMaximum) return a > b || a != a ? a : b;
  if constexpr (kKind == Kind::kMinimum) return a < b || a != a ? a : b;
  if constexpr (kKind == Kind::kFloorDivide) return std::floor(a / b);
  if constexpr (kKind == Kind::kModulo) {
    const T rest = std::fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
  }
  if constexpr (kKind == Kind::kArctan2) return std::atan2(a, b);
  if constexpr (kKind == Kind::kSlope) return a > 0 ? a : a * b;
  return std::pow(a, b);
}

template <std::integral T>
T power(T base, T exponent) noexcept {
  if constexpr (std::is_signed_v<T>) {
    if (exponent < 0) return base == 1 ? 1 : base != -1 ? 0 : exponent % 2 == 0 ? 1 : -1;
  }
  std::uint64_t product = 1;
  auto factor = static_cast<std::uint64_t>(base);
  for (auto n = static_cast<std::uint64_t>(exponent); n != 0; n >>= 1U, factor *= factor) {
    if ((n & 1U) != 0) product *= factor;
  }
  return static_cast<T>(product);
}

// Wraps around; what is divided by zero is 0.
template <Kind kKind, std::integral T>
T combine(T a, T b) noexcept {
  const auto x = static_cast<std::uint64_t>(a);
  const auto y = static_cast<std::uint64_t>(b);
  if constexpr (kKind == Kind::kAdd) return static_cast<T>(x + y);
  if constexpr (kKind == Kind::kSubtract) return static_cast<T>(x - y);
  if constexpr (kKind == Kind::kMultiply) return static_cast<T>(x * y);
  if constexpr (kKind == Kind::kMaximum) return std::max(a, b);
  if constexpr (kKind == Kind::kMinimum) return std::min(a, b);
  if constexpr (kKind == Kind::kPower) return power(a, b);
  if constexpr (kKind == Kind::kBitAnd) return static_cast<T>(x & y);
  if constexpr (kKind == Kind::kBitOr) return static_cast<T>(x | y);
  if constexpr (kKind == Kind::kBitXor) return static_cast<T>(x ^ y);
  constexpr std::uint64_t kBits = sizeof(T) * 8;
  if constexpr (kKind == Kind::kShiftLeft) return y < kBits ? static_cast<T>(x << y) : T{0};
  if constexpr (kKind == Kind::kShiftRight) {
    return y < kBits ? static_cast<T>(a >> y) : static_cast<T>(a < 0 ? -1 : 0);
  }
  if (b == 0) return 0;
  if (std::is_signed_v<T> && b == static_cast<T>(-1)) {
    return kKind == Kind::kModulo ? T{0} : static_cast<T>(0 - x);
  }
  const bool rounds_up = std::is_signed_v<T> && a % b != 0 && (a < 0) != (b < 0);
  if constexpr (kKind == Kind::kModulo) return static_cast<T>(rounds_up ? a % b + b : a % b);
  if constexpr (kKind == Kind::kFloorDivide) return static_cast<T>(rounds_up ? a / b - 1 : a / b);
  return static_cast<T>(a / b);
}

template <Kind kKind, typename T>
auto apply(T a, T b) noexcept {
  constexpr bool kComparison = kKind >= Kind::kEqual && kKind <= Kind::kLessEqual;
  if constexpr (kComparison && !std::is_same_v<T, Truth>) {
    return compare<kKind>(a, b);
  } else {
    return combine<kKind>(a, b);
  }
}

template <Kind kKind, typename T>
class BinaryKernel final : public Kernel {
 public:
  explicit BinaryKernel(const KernelSpec& spec)
      : loops_(broadcast_loops<2>(spec.results[0].shape,
                                  {&spec.operands[0].shape, &spec.operands[1].shape})),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 1e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    using R = decltype(apply<kKind>(T{}, T{}));
    const auto* a = static_cast<const T*>(run.operands[0]);
    const auto* b = static_cast<const T*>(run.operands[1]);
    auto* y = static_cast<R*>(run.results[0]);
    const std::size_t columns = loops_.columns();
    const std::size_t step_a = loops_.strides[0][loops_.rank - 1];
    const std::size_t step_b = loops_.strides[1][loops_.rank - 1];
    parallel_ranges(run.pool, loops_.rows(), seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        const auto at = loops_.at(row);
        const T* pa = a + at[0];
        const T* pb = b + at[1];
        R* py = y + row * columns;
        for (std::size_t i = 0; i < columns; ++i) {
          py[i] = apply<kKind>(pa[i * step_a], pb[i * step_b]);
        }
      }
    });
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override {
    return sizeof(decltype(apply<kKind>(T{}, T{}))) == sizeof(T);
  }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  LoopNest<2> loops_;
  double seconds_;
};

template <typename T>
KernelPtr make_binary(Kind kind, const KernelSpec& spec) {
  constexpr bool kBool = std::is_same_v<T, Truth>;
  switch (kind) {
    case Kind::kAdd:
      return std::make_unique<BinaryKernel<Kind::kAdd, T>>(spec);
    case Kind::kMultiply:
      return std::make_unique<BinaryKernel<Kind::kMultiply, T>>(spec);
    case Kind::kMaximum:
      return std::make_unique<BinaryKernel<Kind::kMaximum, T>>(spec);
    case Kind::kMinimum:
      return std::make_unique<BinaryKernel<Kind::kMinimum, T>>(spec);
    case Kind::kEqual:
      return std::make_unique<BinaryKernel<Kind::kEqual, T>>(spec);
    case Kind::kNotEqual:
      return std::make_unique<BinaryKernel<Kind::kNotEqual, T>>(spec);
    case Kind::kGreater:
      return std::make_unique<BinaryKernel<Kind::kGreater, T>>(spec);
    case Kind::kGreaterEqual:
      return std::make_unique<BinaryKernel<Kind::kGreaterEqual, T>>(spec);
    case Kind::kLess:
      return std::make_unique<BinaryKernel<Kind::kLess, T>>(spec);
    case Kind::kLessEqual:
      return std::make_unique<BinaryKernel<Kind::kLessEqual, T>>(spec);
    case Kind::kAnd:
      if constexpr (kBool) return std::make_unique<BinaryKernel<Kind::kAnd, T>>(spec);
      break;
    case Kind::kOr:
      if constexpr (kBool) return std::make_unique<BinaryKernel<Kind::kOr, T>>(spec);
      break;
    case Kind::kSubtract:
      if constexpr (!kBool) return std::make_unique<BinaryKernel<Kind::kSubtract, T>>(spec);
      break;
    case Kind::kDivide:
      if constexpr (!kBool) return std::make_unique<BinaryKernel<Kind::kDivide, T>>(spec);
      break;
    case Kind::kFloorDivide:
      if constexpr (!kBool) return std::make_unique<BinaryKernel<Kind::kFloorDivide, T>>(spec);
      break;
    case Kind::kModulo:
      if constexpr (!kBool) return std::make_unique<BinaryKernel<Kind::kModulo, T>>(spec);
      break;
    case Kind::kArctan2:
      if constexpr (std::is_floating_point_v<T>) {
        return std::make_unique<BinaryKernel<Kind::kArctan2, T>>(spec);
      }
      break;
    case Kind::kSlope:
      if constexpr (std::is_floating_point_v<T>) {
        return std::make_unique<BinaryKernel<Kind::kSlope, T>>(spec);
      }
      break;
    case Kind::kBitAnd:
      if constexpr (std::is_integral_v<T>) {
        return std::make_unique<BinaryKernel<Kind::kBitAnd, T>>(spec);
      }
      break;
    case Kind::kBitOr:
      if constexpr (std::is_integral_v<T>) {
        return std::make_unique<BinaryKernel<Kind::kBitOr, T>>(spec);
      }
      break;
    case Kind::kBitXor:
      if constexpr (std::is_integral_v<T>) {
        return std::make_unique<BinaryKernel<Kind::kBitXor, T>>(spec);
      }
      break;
    case Kind::kShiftLeft:
      if constexpr (std::is_integral_v<T>) {
        return std::make_unique<BinaryKernel<Kind::kShiftLeft, T>>(spec);
      }
      break;
    case Kind::kShiftRight:
      if constexpr (std::is_integral_v<T>) {
        return std::make_unique<BinaryKernel<Kind::kShiftRight, T>>(spec);
      }
      break;
    case Kind::kPower:
      if constexpr (!kBool) return std::make_unique<BinaryKernel<Kind::kPower, T>>(spec);
      break;
  }
  throw Error(ErrorCode::kUnsupported,
              fmt::format("{} tensors have no such operation", dtype_name(spec.operands[0].dtype)));
}

template <typename T>
class SelectKernel final : public Kernel {
 public:
  explicit SelectKernel(const KernelSpec& spec)
      : loops_(broadcast_loops<3>(
            spec.results[0].shape,
            {&spec.operands[0].shape, &spec.operands[1].shape, &spec.operands[2].shape})),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 1e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* condition = static_cast<const Truth*>(run.operands[0]);
    const auto* a = static_cast<const T*>(run.operands[1]);
    const auto* b = static_cast<const T*>(run.operands[2]);
    auto* y = static_cast<T*>(run.results[0]);
    const std::size_t columns = loops_.columns();
    const std::size_t last = loops_.rank - 1;
    parallel_ranges(run.pool, loops_.rows(), seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        const auto at = loops_.at(row);
        const Truth* pc = condition + at[0];
        const T* pa = a + at[1];
        const T* pb = b + at[2];
        T* py = y + row * columns;
        for (std::size_t i = 0; i < columns; ++i) {
          const T from_a = pa[i * loops_.strides[1][last]];
          const T from_b = pb[i * loops_.strides[2][last]];
          py[i] = pc[i * loops_.strides[0][last]].value() ? from_a : from_b;
        }
      }
    });
    return true;
  }

  bool may_overwrite(std::size_t operand) const noexcept override { return operand > 0; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  LoopNest<3> loops_;
  double seconds_;
};

class NotKernel final : public Kernel {
 public:
  explicit NotKernel(const KernelSpec& spec) : count_(element_count(spec.results[0])) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const Truth*>(run.operands[0]);
    auto* y = static_cast<Truth*>(run.results[0]);
    for (std::size_t i = 0; i < count_; ++i) y[i] = Truth(!x[i].value());
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override { return static_cast<double>(count_) * 5e-11; }

 private:
  std::size_t count_;
};

}  // namespace

KernelPtr make_kernel(const program::Binary& op, const KernelSpec& spec) {
  return visit_numeric(spec.operands[0].dtype, "Binary",
                       [&](auto value) { return make_binary<decltype(value)>(op.kind, spec); });
}

KernelPtr make_kernel(const program::Select&, const KernelSpec& spec) {
  if (spec.operands[0].dtype != DType::kBool || spec.operands[1].dtype != spec.operands[2].dtype) {
    throw Error(ErrorCode::kUnsupported, "a selection needs a bool condition and equal dtypes");
  }
  if (spec.results[0].dtype == DType::kString) {
    return std::make_unique<SelectKernel<std::string_view>>(spec);
  }
  return visit_numeric(spec.results[0].dtype, "Select", [&](auto value) -> KernelPtr {
    return std::make_unique<SelectKernel<decltype(value)>>(spec);
  });
}

KernelPtr make_kernel(const program::Not&, const KernelSpec& spec) {
  if (spec.operands[0].dtype != DType::kBool) {
    throw Error(ErrorCode::kUnsupported, "not needs a bool tensor");
  }
  return std::make_unique<NotKernel>(spec);
}

}  // namespace kerf::engine
