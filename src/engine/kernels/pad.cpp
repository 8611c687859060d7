#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/unit.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

// Row by row of the result, a row being its innermost axis that is padded and all inside it.
template <typename T>
class PadKernel final : public Kernel {
 public:
  PadKernel(const program::Pad& op, const KernelSpec& spec) {
    const Shape& shape = spec.operands[0].shape;
    const Tensor value =
        Tensor::floats(Shape{}, std::span(&op.value, 1)).cast(spec.operands[0].dtype);
    std::memcpy(&value_, value.data(), sizeof(T));
    std::size_t inner = 1;
    std::size_t last = shape.rank();
    while (last > 0 && op.before[last - 1] == 0 && op.after[last - 1] == 0) {
      inner *= static_cast<std::size_t>(shape[--last]);
    }
    if (last == 0) {  // no padding at all
      row_ = inner;
      return;
    }
    --last;
    before_ = static_cast<std::size_t>(op.before[last]) * inner;
    row_ = static_cast<std::size_t>(shape[last]) * inner;
    after_ = static_cast<std::size_t>(op.after[last]) * inner;
    rank_ = last;
    for (std::size_t i = 0; i < rank_; ++i) {
      axes_[i] = {static_cast<std::size_t>(shape[i]), static_cast<std::size_t>(op.before[i]),
                  static_cast<std::size_t>(spec.results[0].shape[i])};
      rows_ *= axes_[i].output;
    }
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const T*>(run.operands[0]);
    auto* y = static_cast<T*>(run.results[0]);
    const std::size_t width = before_ + row_ + after_;
    parallel_ranges(run.pool, rows_, estimated_seconds(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        T* to = y + row * width;
        std::size_t from = 0;
        if (!find(row, from)) {
          std::fill_n(to, width, value_);
          continue;
        }
        std::fill_n(to, before_, value_);
        if (row_ != 0) std::memcpy(to + before_, x + from * row_, row_ * sizeof(T));
        std::fill_n(to + before_ + row_, after_, value_);
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override {
    return static_cast<double>(rows_) *
           (4e-9 + static_cast<double>((before_ + row_ + after_) * sizeof(T)) * 1e-10);
  }

 private:
  struct Axis {
    std::size_t input = 0;
    std::size_t before = 0;
    std::size_t output = 0;
  };

  // The row of the operand that stands in `row` of the result; false if that is padding.
  bool find(std::size_t row, std::size_t& from) const noexcept {
    std::size_t stride = 1;
    for (std::size_t i = rank_; i-- > 0;) {
      const std::size_t index = row % axes_[i].output - axes_[i].before;  // wraps if before
      row /= axes_[i].output;
      if (index >= axes_[i].input) return false;
      from += index * stride;
      stride *= axes_[i].input;
    }
    return true;
  }

  T value_{};
  std::size_t before_ = 0;  // elements
  std::size_t row_ = 1;
  std::size_t after_ = 0;
  std::size_t rows_ = 1;
  std::size_t rank_ = 0;
  std::array<Axis, Shape::kMaxRank> axes_{};
};

}  // namespace

KernelPtr make_kernel(const program::Pad& op, const KernelSpec& spec) {
  return visit_unit(element_size(spec.operands[0]), [&](auto unit) -> KernelPtr {
    return std::make_unique<PadKernel<decltype(unit)>>(op, spec);
  });
}

}  // namespace kerf::engine
