#include <cmath>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/normalize.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/lines-inl.h"
#include "hwy/highway.h"

// Layer normalisation and division by the l2 norm.
HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

// One row of LayerNorm; gamma and beta may be null, y may be x.
void normalize_line(const float* x, float* y, std::size_t count, const program::LayerNorm& op,
                    const float* gamma, const float* beta) {
  const FloatTag d;
  const auto n = static_cast<float>(count);
  const float mean = sum_of(x, count) / n;
  const FloatVector center = hn::Set(d, mean);
  const float variance = sum_of(x, count,
                                [&](FloatVector v) {
                                  const FloatVector off = hn::Sub(v, center);
                                  return hn::Mul(off, off);
                                }) /
                         n;
  const FloatVector scale = hn::Set(d, 1.0F / std::sqrt(variance + op.epsilon));
  const FloatVector shift = hn::Set(d, op.center_mean ? mean : 0.0F);
  for_each_strip(count, [&](std::size_t i, std::size_t lanes) {
    FloatVector v = hn::Mul(hn::Sub(load_strip(x + i, lanes), shift), scale);
    if (gamma != nullptr) v = hn::Mul(v, load_strip(gamma + i, lanes));
    if (beta != nullptr) v = hn::Add(v, load_strip(beta + i, lanes));
    store_strip(v, y + i, lanes);
  });
}

void l2_line(const float* x, float* y, std::size_t count, float epsilon) {
  const FloatTag d;
  const float norm = std::sqrt(sum_of(x, count, [](FloatVector v) { return hn::Mul(v, v); }));
  const FloatVector divisor = hn::Set(d, norm < epsilon ? epsilon : norm);
  map_line(x, y, count, [&](FloatVector v) { return hn::Div(v, divisor); });
}

// Along an axis of `size` steps of `stride` floats, for `lanes` neighbours at once.
void l2_strip(const float* x, float* y, std::size_t size, std::size_t stride, std::size_t lanes,
              float epsilon) {
  const FloatTag d;
  FloatVector squares = hn::Zero(d);
  for (std::size_t i = 0; i < size; ++i) {
    const FloatVector v = load_strip(x + i * stride, lanes);
    squares = hn::MulAdd(v, v, squares);
  }
  const FloatVector norm = hn::Sqrt(squares);
  const FloatVector least = hn::Set(d, epsilon);
  const FloatVector divisor = hn::IfThenElse(hn::Lt(norm, least), least, norm);
  for (std::size_t i = 0; i < size; ++i) {
    store_strip(hn::Div(load_strip(x + i * stride, lanes), divisor), y + i * stride, lanes);
  }
}

// Blocks [begin, end) of the outer axes.
void l2_blocks(const AxisSplit& split, float epsilon, const float* x, float* y, std::size_t begin,
               std::size_t end) {
  const std::size_t block = split.size * split.inner;
  for (std::size_t i = begin; i < end; ++i) {
    if (split.inner == 1) {
      l2_line(x + i * block, y + i * block, split.size, epsilon);
    } else {
      for_each_strip(split.inner, [&](std::size_t at, std::size_t lanes) {
        l2_strip(x + i * block + at, y + i * block + at, split.size, split.inner, lanes, epsilon);
      });
    }
  }
}

auto normalize_of_target() { return normalize_line; }
auto l2_of_target() { return l2_blocks; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <memory>

namespace kerf::engine {
namespace {

HWY_EXPORT(normalize_of_target);
HWY_EXPORT(l2_of_target);

class LayerNormKernel final : public Kernel {
 public:
  LayerNormKernel(const program::LayerNorm& op, const KernelSpec& spec)
      : op_(op), line_(HWY_DYNAMIC_DISPATCH(normalize_of_target)()) {
    const Shape& shape = spec.results[0].shape;
    for (std::size_t i = 0; i < shape.rank(); ++i) {
      (i + op.axes < shape.rank() ? rows_ : columns_) *= static_cast<std::size_t>(shape[i]);
    }
    seconds_ = static_cast<double>(rows_ * columns_) * 1.5e-10;
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    const float* gamma = op_.gamma ? static_cast<const float*>(run.operands[1]) : nullptr;
    const float* beta =
        op_.beta ? static_cast<const float*>(run.operands[op_.gamma ? 2 : 1]) : nullptr;
    parallel_ranges(run.pool, rows_, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t row = begin; row < end; ++row) {
        line_(x + row * columns_, y + row * columns_, columns_, op_, gamma, beta);
      }
    });
    return true;
  }

  bool may_overwrite(std::size_t operand) const noexcept override { return operand == 0; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  program::LayerNorm op_;
  void (*line_)(const float*, float*, std::size_t, const program::LayerNorm&, const float*,
                const float*);
  std::size_t rows_ = 1;
  std::size_t columns_ = 1;
  double seconds_ = 0;
};

class L2NormalizeKernel final : public Kernel {
 public:
  L2NormalizeKernel(const program::L2Normalize& op, const KernelSpec& spec)
      : split_(split_at(spec.results[0].shape, op.axis)),
        epsilon_(op.epsilon),
        blocks_(HWY_DYNAMIC_DISPATCH(l2_of_target)()),
        seconds_(static_cast<double>(element_count(spec.results[0])) * 1.5e-10) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    parallel_ranges(run.pool, split_.outer, seconds_, [&](std::size_t begin, std::size_t end) {
      blocks_(split_, epsilon_, x, y, begin, end);
    });
    return true;
  }

  bool may_overwrite(std::size_t) const noexcept override { return true; }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  AxisSplit split_;
  float epsilon_;
  void (*blocks_)(const AxisSplit&, float, const float*, float*, std::size_t, std::size_t);
  double seconds_;
};

}  // namespace

KernelPtr make_kernel(const program::LayerNorm& op, const KernelSpec& spec) {
  return std::make_unique<LayerNormKernel>(op, spec);
}

KernelPtr make_kernel(const program::L2Normalize& op, const KernelSpec& spec) {
  return std::make_unique<L2NormalizeKernel>(op, spec);
}

}  // namespace kerf::engine
#endif
