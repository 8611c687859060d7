#include <cstring>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

// Slice and Tile: blocks of memory along one axis.
namespace kerf::engine {
namespace {

class SliceKernel final : public Kernel {
 public:
  SliceKernel(const program::Slice& op, const KernelSpec& spec) {
    const AxisSplit from = split_at(spec.operands[0].shape, op.axis);
    const auto taken = program::slice_axis(op, static_cast<std::int64_t>(from.size));
    outer_ = from.outer;
    size_ = static_cast<std::size_t>(taken.count);
    unit_ = from.inner * element_size(spec.operands[0]);
    stride_ = from.size * unit_;
    begin_ = taken.begin * static_cast<std::ptrdiff_t>(unit_);
    step_ = op.step * static_cast<std::ptrdiff_t>(unit_);
    seconds_ =
        static_cast<double>(outer_) * 3e-9 + static_cast<double>(outer_ * size_ * unit_) * 1e-10;
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const std::byte*>(run.operands[0]);
    auto* y = static_cast<std::byte*>(run.results[0]);
    const std::size_t block = size_ * unit_;
    if (block == 0) return true;
    parallel_ranges(run.pool, outer_, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        const std::byte* from = x + row * stride_ + begin_;
        std::byte* to = y + row * block;
        if (step_ == static_cast<std::ptrdiff_t>(unit_)) {
          std::memcpy(to, from, block);
          continue;
        }
        for (std::size_t i = 0; i < size_; ++i) {
          std::memcpy(to + i * unit_, from + static_cast<std::ptrdiff_t>(i) * step_, unit_);
        }
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  std::size_t outer_ = 1;
  std::size_t size_ = 1;      // of the result's axis
  std::size_t unit_ = 1;      // bytes of one step along the axis
  std::size_t stride_ = 1;    // bytes of a block of the operand
  std::ptrdiff_t begin_ = 0;  // bytes
  std::ptrdiff_t step_ = 0;   // bytes
  double seconds_ = 0;
};

class TileKernel final : public Kernel {
 public:
  TileKernel(const program::Tile& op, const KernelSpec& spec)
      : times_(static_cast<std::size_t>(op.times)) {
    const AxisSplit split = split_at(spec.operands[0].shape, op.axis);
    outer_ = split.outer;
    block_ = split.size * split.inner * element_size(spec.operands[0]);
    seconds_ = static_cast<double>(outer_ * times_) * (3e-9 + static_cast<double>(block_) * 1e-10);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const std::byte*>(run.operands[0]);
    auto* y = static_cast<std::byte*>(run.results[0]);
    parallel_ranges(run.pool, outer_, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin * times_; i < end * times_; ++i) {
        std::memcpy(y + i * block_, x + i / times_ * block_, block_);
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  std::size_t times_;
  std::size_t outer_ = 1;
  std::size_t block_ = 1;  // bytes
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Slice& op, const KernelSpec& spec) {
  return std::make_unique<SliceKernel>(op, spec);
}

KernelPtr make_kernel(const program::Tile& op, const KernelSpec& spec) {
  return std::make_unique<TileKernel>(op, spec);
}

}  // namespace kerf::engine
