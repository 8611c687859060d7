#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <numeric>
#include <type_traits>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/numeric.h"
#include "engine/parallel.h"

// ArgSort and TakeAlong: the order of elements, and elements in an order.
namespace kerf::engine {
namespace {

template <typename T>
class ArgSortKernel final : public Kernel {
 public:
  ArgSortKernel(const program::ArgSort& op, const KernelSpec& spec)
      : split_(split_at(spec.operands[0].shape, -1)),
        descending_(op.descending),
        seconds_(static_cast<double>(element_count(spec.operands[0])) * 3e-8) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const T*>(run.operands[0]);
    auto* y = static_cast<std::int32_t*>(run.results[0]);
    parallel_ranges(run.pool, split_.outer, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        const T* line = x + row * split_.size;
        std::int32_t* places = y + row * split_.size;
        std::iota(places, places + split_.size, 0);
        // By place where elements are equal: a stable order, without a stable sort's memory.
        std::sort(places, places + split_.size, [&](std::int32_t i, std::int32_t j) {
          const T a = descending_ ? line[j] : line[i];
          const T b = descending_ ? line[i] : line[j];
          if (below(a, b)) return true;
          return !below(b, a) && i < j;
        });
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  static bool below(T a, T b) noexcept {
    if constexpr (std::is_same_v<T, Truth>) {
      return !a.value() && b.value();
    } else if constexpr (std::is_floating_point_v<T>) {
      return a < b || (b != b && a == a);
    } else {
      return a < b;
    }
  }

  AxisSplit split_;
  bool descending_;
  double seconds_;
};

template <typename Id>
class TakeAlongKernel final : public Kernel {
 public:
  explicit TakeAlongKernel(const KernelSpec& spec)
      : from_(split_at(spec.operands[0].shape, -1).size),
        to_(split_at(spec.results[0].shape, -1)),
        bytes_(element_size(spec.operands[0])),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 2e-9) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const std::byte*>(run.operands[0]);
    const auto* ids = static_cast<const Id*>(run.operands[1]);
    auto* y = static_cast<std::byte*>(run.results[0]);
    // All of them first: which bad one is reported does not depend on the threads.
    const auto size = static_cast<Id>(from_);
    for (std::size_t i = 0; i < to_.outer * to_.size; ++i) {
      if (ids[i] >= size || ids[i] < -size) {
        *run.failure = fmt::format("the place {} is outside an axis of {}", ids[i], from_);
        return false;
      }
    }
    parallel_ranges(run.pool, to_.outer, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin * to_.size; i < end * to_.size; ++i) {
        const std::size_t line = i / to_.size * from_;
        const auto place = static_cast<std::size_t>(ids[i] < 0 ? ids[i] + size : ids[i]);
        std::memcpy(y + i * bytes_, x + (line + place) * bytes_, bytes_);
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  std::size_t from_;
  AxisSplit to_;
  std::size_t bytes_;
  double seconds_;
};

}  // namespace

KernelPtr make_kernel(const program::ArgSort& op, const KernelSpec& spec) {
  return visit_numeric(spec.operands[0].dtype, "ArgSort", [&](auto value) -> KernelPtr {
    return std::make_unique<ArgSortKernel<decltype(value)>>(op, spec);
  });
}

KernelPtr make_kernel(const program::TakeAlong&, const KernelSpec& spec) {
  if (spec.operands[1].dtype == DType::kInt64) {
    return std::make_unique<TakeAlongKernel<std::int64_t>>(spec);
  }
  return std::make_unique<TakeAlongKernel<std::int32_t>>(spec);
}

}  // namespace kerf::engine
