#include <algorithm>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/product.h"
#include "engine/kernels/transpose_floats.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

constexpr std::size_t kMaxSlots = 16;
constexpr double kPackedFloatsPerSecond = 4e9;
constexpr double kSecondsWorthSplitting = 2e-4;

std::size_t round_up(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

// Packs the right side of each product into scratch memory, then multiplies. Many products are
// spread over slots of scratch memory, which run side by side; few and large ones are split each.
class MatMulKernel final : public Kernel {
 public:
  MatMulKernel(const program::MatMul& op, const KernelSpec& spec) : op_(op) {
    const Shape& a = spec.operands[0].shape;
    const Shape& y = spec.results[0].shape;
    const auto leading = [](const Shape& shape) {
      return Shape(shape.dims().first(shape.rank() - 2));
    };
    const Shape of_a = leading(a);
    const Shape of_b = leading(spec.operands[1].shape);
    loops_ = broadcast_loops<2>(leading(y), {&of_a, &of_b});
    batch_ = loops_.rows() * loops_.columns();
    rows_ = static_cast<std::size_t>(y[y.rank() - 2]);
    columns_ = static_cast<std::size_t>(y[y.rank() - 1]);
    depth_ = static_cast<std::size_t>(a[a.rank() - (op.transpose_a ? 2 : 1)]);
    product_ = Product(rows_, 1, depth_, columns_, {});
    const std::size_t moved = product_.layout().floats() + (op.transpose_a ? rows_ * depth_ : 0);
    seconds_each_ =
        product_.estimated_seconds() + static_cast<double>(moved) / kPackedFloatsPerSecond;
    split_each_ = batch_ == 1 || (batch_ < 8 && seconds_each_ > kSecondsWorthSplitting);
    slots_ = split_each_ ? 1 : std::min(batch_, kMaxSlots);
  }

  bool run(const KernelRun& run) const noexcept override {
    if (split_each_) {
      for (std::size_t i = 0; i < batch_; ++i) multiply(run, i, run.scratch, run.pool);
      return true;
    }
    const bool worth = estimated_seconds() > 2 * kMinimumPartSeconds;
    if (run.pool == nullptr || !worth) {
      for (std::size_t i = 0; i < batch_; ++i) multiply(run, i, run.scratch, nullptr);
      return true;
    }
    parallel_for(run.pool, slots_, [&](std::size_t slot) {
      const std::size_t end = (slot + 1) * batch_ / slots_;
      for (std::size_t i = slot * batch_ / slots_; i < end; ++i) {
        multiply(run, i, run.scratch + slot * slot_bytes(), nullptr);
      }
    });
    return true;
  }

  std::size_t scratch_bytes() const noexcept override { return slots_ * slot_bytes(); }
  double estimated_seconds() const noexcept override {
    return static_cast<double>(batch_) * seconds_each_;
  }

 private:
  std::size_t panel_bytes() const noexcept {
    return round_up(product_.layout().floats() * sizeof(float));
  }
  std::size_t left_bytes() const noexcept {
    return op_.transpose_a ? round_up(rows_ * depth_ * sizeof(float)) : 0;
  }
  std::size_t slot_bytes() const noexcept {
    return panel_bytes() + left_bytes() + round_up(product_.scratch_bytes());
  }

  void multiply(const KernelRun& run, std::size_t i, std::byte* scratch,
                ThreadPool* pool) const noexcept {
    const auto at = loops_.at(i / loops_.columns());
    const std::size_t inner = i % loops_.columns();
    const auto matrix = [&](std::size_t operand) {
      return at[operand] + inner * loops_.strides[operand][loops_.rank - 1];
    };
    const float* a = static_cast<const float*>(run.operands[0]) + matrix(0) * rows_ * depth_;
    const float* b = static_cast<const float*>(run.operands[1]) + matrix(1) * depth_ * columns_;
    auto* panels = reinterpret_cast<float*>(scratch);
    const PanelLayout& layout = product_.layout();
    const double seconds = static_cast<double>(layout.floats()) / kPackedFloatsPerSecond;
    parallel_ranges(pool, layout.panels(), seconds, [&](std::size_t begin, std::size_t end) {
      if (op_.transpose_b) {
        layout.pack_transposed(b, depth_, begin, end, panels);
      } else {
        layout.pack(b, columns_, begin, end, panels);
      }
      if (op_.scale != 1) {
        float* const last =
            panels + (end == layout.panels() ? layout.floats() : layout.offset(end));
        for (float* p = panels + layout.offset(begin); p < last; ++p) *p *= op_.scale;
      }
    });
    if (op_.transpose_a) {
      auto* left = reinterpret_cast<float*>(scratch + panel_bytes());
      transpose_floats(a, depth_, rows_, rows_, left, depth_);
      a = left;
    }
    const ProductOutput output{.y = static_cast<float*>(run.results[0]) + i * rows_ * columns_,
                               .stride = columns_};
    product_.run(DenseRows{a, depth_}, panels, output, scratch + panel_bytes() + left_bytes(),
                 pool);
  }

  program::MatMul op_;
  LoopNest<2> loops_;  // over the products: which matrices each multiplies
  std::size_t batch_ = 1;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::size_t depth_ = 0;
  Product product_;
  double seconds_each_ = 0;
  bool split_each_ = false;
  std::size_t slots_ = 1;
};

}  // namespace

KernelPtr make_kernel(const program::MatMul& op, const KernelSpec& spec) {
  return std::make_unique<MatMulKernel>(op, spec);
}

}  // namespace kerf::engine
