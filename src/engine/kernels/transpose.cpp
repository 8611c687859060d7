#include <array>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/unit.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

template <typename T>
class TransposeKernel final : public Kernel {
 public:
  TransposeKernel(const program::Transpose& op, const KernelSpec& spec) {
    const Shape& shape = spec.operands[0].shape;
    std::array<std::size_t, Shape::kMaxRank> strides{};
    std::size_t stride = 1;
    for (std::size_t i = shape.rank(); i-- > 0; stride *= static_cast<std::size_t>(shape[i])) {
      strides[i] = stride;
    }
    for (const std::int64_t axis : op.permutation) {
      const auto a = static_cast<std::size_t>(
          axis < 0 ? axis + static_cast<std::int64_t>(shape.rank()) : axis);
      loops_.add(static_cast<std::size_t>(shape[a]), {strides[a]});
    }
    loops_.finish();
    seconds_ = static_cast<double>(element_count(spec.results[0])) * 1e-9;
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const T*>(run.operands[0]);
    auto* y = static_cast<T*>(run.results[0]);
    const std::size_t columns = loops_.columns();
    const std::size_t step = loops_.strides[0][loops_.rank - 1];
    parallel_ranges(run.pool, loops_.rows(), seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        const T* from = x + loops_.at(row)[0];
        T* to = y + row * columns;
        for (std::size_t i = 0; i < columns; ++i) to[i] = from[i * step];
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  LoopNest<1> loops_;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Transpose& op, const KernelSpec& spec) {
  return visit_unit(element_size(spec.operands[0]), [&](auto unit) -> KernelPtr {
    return std::make_unique<TransposeKernel<decltype(unit)>>(op, spec);
  });
}

}  // namespace kerf::engine
