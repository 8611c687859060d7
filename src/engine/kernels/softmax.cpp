#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/softmax.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/lines-inl.h"
#include "engine/kernels/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

// Softmax, or its logarithm, of a dense line; y may be x.
void softmax_line(const float* x, float* y, std::size_t count, bool log) {
  const FloatTag d;
  const FloatVector top = hn::Set(d, extreme_of<true>(x, count));
  const auto power = [&](FloatVector v) { return Exp(d, hn::Sub(v, top)); };
  if (log) {
    const FloatVector shift = Log(d, hn::Set(d, sum_of(x, count, power)));
    map_line(x, y, count, [&](FloatVector v) { return hn::Sub(hn::Sub(v, top), shift); });
    return;
  }
  map_line(x, y, count, power);
  const FloatVector share = hn::Set(d, 1.0F / sum_of(y, count));
  map_line(y, y, count, [&](FloatVector v) { return hn::Mul(v, share); });
}

// The same along an axis of `size` steps of `stride` floats, for `lanes` neighbours at once.
void softmax_strip(const float* x, float* y, std::size_t size, std::size_t stride,
                   std::size_t lanes, bool log) {
  const FloatTag d;
  Extreme<true> extreme;
  for (std::size_t i = 0; i < size; ++i) extreme.add(load_strip(x + i * stride, lanes));
  const FloatVector top = extreme.lanes();
  FloatVector sum = hn::Zero(d);
  for (std::size_t i = 0; i < size; ++i) {
    const FloatVector power = Exp(d, hn::Sub(load_strip(x + i * stride, lanes), top));
    sum = hn::Add(sum, power);
    if (!log) store_strip(power, y + i * stride, lanes);
  }
  if (log) {
    const FloatVector shift = Log(d, sum);
    for (std::size_t i = 0; i < size; ++i) {
      const FloatVector v = hn::Sub(load_strip(x + i * stride, lanes), top);
      store_strip(hn::Sub(v, shift), y + i * stride, lanes);
    }
    return;
  }
  const FloatVector share = hn::Div(hn::Set(d, 1.0F), sum);
  for (std::size_t i = 0; i < size; ++i) {
    store_strip(hn::Mul(load_strip(y + i * stride, lanes), share), y + i * stride, lanes);
  }
}

// Blocks [begin, end) of the outer axes.
void softmax(const AxisSplit& split, bool log, const float* x, float* y, std::size_t begin,
             std::size_t end) {
  const std::size_t block = split.size * split.inner;
  for (std::size_t i = begin; i < end; ++i) {
    if (split.inner == 1) {
      softmax_line(x + i * block, y + i * block, split.size, log);
    } else {
      for_each_strip(split.inner, [&](std::size_t at, std::size_t lanes) {
        softmax_strip(x + i * block + at, y + i * block + at, split.size, split.inner, lanes, log);
      });
    }
  }
}

auto softmax_of_target() { return softmax; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <memory>

namespace kerf::engine {
namespace {

HWY_EXPORT(softmax_of_target);

class SoftmaxKernel final : public Kernel {
 public:
  SoftmaxKernel(const program::Softmax& op, const KernelSpec& spec)
      : split_(split_at(spec.results[0].shape, op.axis)),
        log_(op.log),
        softmax_(HWY_DYNAMIC_DISPATCH(softmax_of_target)()),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 4e-10) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    parallel_ranges(run.pool, split_.outer, seconds_, [&](std::size_t begin, std::size_t end) {
      softmax_(split_, log_, x, y, begin, end);
    });
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  AxisSplit split_;
  bool log_;
  void (*softmax_)(const AxisSplit&, bool, const float*, float*, std::size_t, std::size_t);
  double seconds_;
};

}  // namespace

KernelPtr make_kernel(const program::Softmax& op, const KernelSpec& spec) {
  return std::make_unique<SoftmaxKernel>(op, spec);
}

}  // namespace kerf::engine
#endif
