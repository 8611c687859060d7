#include <cstring>
#include <memory>
#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

// Each operand is `outer` blocks that land behind one another in the result's; one that was
// computed there needs no copy.
class ConcatKernel final : public Kernel {
 public:
  ConcatKernel(const program::Concat& op, const KernelSpec& spec) {
    for (const program::ValueType& operand : spec.operands) {
      const AxisSplit split = split_at(operand.shape, op.axis);
      outer_ = split.outer;
      blocks_.push_back(split.size * split.inner * element_size(operand));
      total_ += blocks_.back();
    }
    seconds_ = static_cast<double>(outer_) *
               (static_cast<double>(total_) * 1e-10 + static_cast<double>(blocks_.size()) * 3e-9);
  }

  bool run(const KernelRun& run) const noexcept override {
    auto* y = static_cast<std::byte*>(run.results[0]);
    parallel_ranges(run.pool, outer_, seconds_, [&](std::size_t begin, std::size_t end) {
      std::size_t offset = 0;
      for (std::size_t i = 0; i < blocks_.size(); ++i) {
        const std::size_t block = blocks_[i];
        if (block == 0) continue;
        const auto* x = static_cast<const std::byte*>(run.operands[i]);
        for (std::size_t row = x == y + offset ? end : begin; row < end; ++row) {
          std::memcpy(y + row * total_ + offset, x + row * block, block);
        }
        offset += block;
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  std::size_t outer_ = 1;
  std::size_t total_ = 0;            // bytes of a block of the result
  std::vector<std::size_t> blocks_;  // by operand, in bytes
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Concat& op, const KernelSpec& spec) {
  return std::make_unique<ConcatKernel>(op, spec);
}

}  // namespace kerf::engine
