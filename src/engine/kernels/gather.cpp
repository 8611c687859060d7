#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <type_traits>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"
#include "kerf/error.h"
#include "tensor/visit_integer.h"

namespace kerf::engine {
namespace {

// The row that an id names, or -1: floats are truncated, as Keras does.
template <typename T>
std::int64_t row_of(T id, std::int64_t rows) noexcept {
  if constexpr (std::is_floating_point_v<T>) {
    return id > -1 && id < static_cast<T>(rows) ? static_cast<std::int64_t>(id) : -1;
  } else if constexpr (std::is_signed_v<T>) {
    return id >= 0 && id < rows ? id : -1;
  } else {
    return id < static_cast<std::uint64_t>(rows) ? static_cast<std::int64_t>(id) : -1;
  }
}

template <typename T>
class GatherKernel final : public Kernel {
 public:
  explicit GatherKernel(const KernelSpec& spec)
      : count_(element_count(spec.operands[0])),
        rows_(spec.operands[1].shape[0]),
        row_bytes_(static_cast<std::size_t>(spec.operands[1].shape[1]) *
                   element_size(spec.operands[1])),
        seconds_(static_cast<double>(count_) * (4e-9 + static_cast<double>(row_bytes_) * 1e-10)) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* ids = static_cast<const T*>(run.operands[0]);
    const auto* table = static_cast<const std::byte*>(run.operands[1]);
    auto* y = static_cast<std::byte*>(run.results[0]);
    // All of them first: which bad id is reported does not depend on the threads.
    for (std::size_t i = 0; i < count_; ++i) {
      if (row_of(ids[i], rows_) < 0) {
        *run.failure = fmt::format("id {} is outside the table of {} rows", ids[i], rows_);
        return false;
      }
    }
    parallel_ranges(run.pool, count_, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const auto row = static_cast<std::size_t>(row_of(ids[i], rows_));
        std::memcpy(y + i * row_bytes_, table + row * row_bytes_, row_bytes_);
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  std::size_t count_;
  std::int64_t rows_;
  std::size_t row_bytes_;
  double seconds_;
};

}  // namespace

KernelPtr make_kernel(const program::Gather&, const KernelSpec& spec) {
  const DType ids = spec.operands[0].dtype;
  if (is_integer(ids)) {
    return visit_integer(ids, [&](auto type) -> KernelPtr {
      return std::make_unique<GatherKernel<decltype(type)>>(spec);
    });
  }
  if (ids == DType::kFloat32) return std::make_unique<GatherKernel<float>>(spec);
  if (ids == DType::kFloat64) return std::make_unique<GatherKernel<double>>(spec);
  throw Error(ErrorCode::kUnsupported, fmt::format("{} ids", dtype_name(ids)));
}

}  // namespace kerf::engine
