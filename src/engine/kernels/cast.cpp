#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"
#include "tensor/convert.h"

namespace kerf::engine {
namespace {

class CastKernel final : public Kernel {
 public:
  explicit CastKernel(const KernelSpec& spec)
      : from_(spec.operands[0].dtype),
        to_(spec.results[0].dtype),
        count_(element_count(spec.results[0])) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const std::byte*>(run.operands[0]);
    auto* y = static_cast<std::byte*>(run.results[0]);
    parallel_ranges(run.pool, count_, estimated_seconds(), [&](std::size_t begin, std::size_t end) {
      convert(from_, x + begin * dtype_size(from_), to_, y + begin * dtype_size(to_), end - begin);
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return static_cast<double>(count_) * 5e-10; }

 private:
  DType from_;
  DType to_;
  std::size_t count_;
};

}  // namespace

KernelPtr make_kernel(const program::Cast&, const KernelSpec& spec) {
  return std::make_unique<CastKernel>(spec);
}

}  // namespace kerf::engine
