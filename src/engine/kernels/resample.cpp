#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/resample.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/lines-inl.h"
#include "hwy/highway.h"

// Another number of elements along one axis.
#ifndef KERF_RESAMPLE_TAPS
#define KERF_RESAMPLE_TAPS
namespace kerf::engine {

// The elements that an output is made of.
struct ResampleTaps {
  std::size_t first = 0;
  std::size_t count = 0;
  std::size_t weights = 0;  // where they begin
};

}  // namespace kerf::engine
#endif

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

// One output: `inner` floats, from lines that are as far apart.
void weigh(const float* x, float* y, const ResampleTaps& taps, const float* weights,
           std::size_t inner) {
  const FloatTag d;
  const float* from = x + taps.first * inner;
  for_each_strip(inner, [&](std::size_t i, std::size_t lanes) {
    FloatVector sum = hn::Mul(hn::Set(d, weights[0]), load_strip(from + i, lanes));
    for (std::size_t t = 1; t < taps.count; ++t) {
      sum = hn::MulAdd(hn::Set(d, weights[t]), load_strip(from + t * inner + i, lanes), sum);
    }
    store_strip(sum, y + i, lanes);
  });
}

void maximum(const float* x, float* y, const ResampleTaps& taps, const float* /*weights*/,
             std::size_t inner) {
  const float* from = x + taps.first * inner;
  for_each_strip(inner, [&](std::size_t i, std::size_t lanes) {
    Extreme<true> best;
    for (std::size_t t = 0; t < taps.count; ++t) best.add(load_strip(from + t * inner + i, lanes));
    store_strip(best.lanes(), y + i, lanes);
  });
}

auto weigh_of_target() { return weigh; }
auto maximum_of_target() { return maximum; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>
#include <vector>

namespace kerf::engine {
namespace {

using Kind = program::Resample::Kind;

HWY_EXPORT(weigh_of_target);
HWY_EXPORT(maximum_of_target);

double radius_of(Kind kind) {
  return kind == Kind::kLinear ? 1 : kind == Kind::kCubic ? 2 : kind == Kind::kLanczos3 ? 3 : 5;
}

// The weight at a distance of x, which is not negative.
double filter(Kind kind, double x) {
  if (kind == Kind::kLinear) return std::max(1 - x, 0.0);
  if (kind == Kind::kCubic) {
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
  }
  const double radius = radius_of(kind);
  if (x >= radius) return 0;
  if (x < 1e-6) return 1;
  const double angle = std::numbers::pi * x;
  return radius * std::sin(angle) * std::sin(angle / radius) / (angle * angle);
}

// Bytes of one output are copied from one element.
class NearestKernel final : public Kernel {
 public:
  NearestKernel(const program::Resample& op, const KernelSpec& spec) {
    const AxisSplit from = split_at(spec.operands[0].shape, op.axis);
    size_ = split_at(spec.results[0].shape, op.axis).size;
    outer_ = from.outer;
    unit_ = from.inner * element_size(spec.operands[0]);
    block_ = from.size * unit_;
    for (std::size_t i = 0; i < size_; ++i) {
      from_.push_back((2 * i + 1) * from.size / (2 * size_) * unit_);
    }
    seconds_ = static_cast<double>(outer_ * size_) * (3e-9 + static_cast<double>(unit_) * 1e-10);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const std::byte*>(run.operands[0]);
    auto* y = static_cast<std::byte*>(run.results[0]);
    parallel_ranges(run.pool, outer_ * size_, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        std::memcpy(y + i * unit_, x + i / size_ * block_ + from_[i % size_], unit_);
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  std::size_t outer_ = 1;
  std::size_t size_ = 1;
  std::size_t unit_ = 1;   // bytes of one element of the axis
  std::size_t block_ = 1;  // bytes of a block of the operand
  std::vector<std::size_t> from_;
  double seconds_ = 0;
};

class FilterKernel final : public Kernel {
 public:
  FilterKernel(const program::Resample& op, const KernelSpec& spec)
      : combine_(op.kind == Kind::kMax ? HWY_DYNAMIC_DISPATCH(maximum_of_target)()
                                       : HWY_DYNAMIC_DISPATCH(weigh_of_target)()) {
    const AxisSplit from = split_at(spec.operands[0].shape, op.axis);
    const std::size_t size = split_at(spec.results[0].shape, op.axis).size;
    outer_ = from.outer;
    inner_ = from.inner;
    block_ = from.size * inner_;
    const bool pools = op.kind == Kind::kMean || op.kind == Kind::kMax;
    for (std::size_t i = 0; i < size; ++i) {
      pools ? add_range(i, from.size, size) : add_filter(op, i, from.size, size);
    }
    seconds_ =
        static_cast<double>(outer_) * (static_cast<double>(weights_.size() * inner_) * 1.5e-10 +
                                       static_cast<double>(weights_.size()) * 2e-9);
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    const std::size_t size = taps_.size();
    parallel_ranges(run.pool, outer_ * size, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const ResampleTaps& taps = taps_[i % size];
        combine_(x + i / size * block_, y + i * inner_, taps, weights_.data() + taps.weights,
                 inner_);
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  void add_range(std::size_t i, std::size_t from, std::size_t to) {
    const std::size_t first = i * from / to;
    const std::size_t count = ((i + 1) * from + to - 1) / to - first;
    taps_.push_back({.first = first, .count = count, .weights = weights_.size()});
    weights_.resize(weights_.size() + count, 1 / static_cast<float>(count));
  }

  void add_filter(const program::Resample& op, std::size_t i, std::size_t from, std::size_t to) {
    const double ratio = static_cast<double>(from) / static_cast<double>(to);
    const double stretch = op.antialias ? std::max(ratio, 1.0) : 1.0;
    const double place = (static_cast<double>(i) + 0.5) * ratio - 0.5;
    const double reach = radius_of(op.kind) * stretch;
    const auto last = static_cast<double>(from - 1);
    const auto first = static_cast<std::size_t>(std::clamp(std::ceil(place - reach), 0.0, last));
    const auto end = static_cast<std::size_t>(std::clamp(std::floor(place + reach), 0.0, last)) + 1;
    std::vector<double> weights;
    double sum = 0;
    for (std::size_t j = first; j < end; ++j) {
      weights.push_back(filter(op.kind, std::abs(place - static_cast<double>(j)) / stretch));
      sum += weights.back();
    }
    // An element that does not count must not be read: it may not be a number.
    std::size_t skipped = 0;
    while (skipped + 1 < weights.size() && weights[skipped] == 0) ++skipped;
    while (weights.size() > skipped + 1 && weights.back() == 0) weights.pop_back();
    taps_.push_back(
        {.first = first + skipped, .count = weights.size() - skipped, .weights = weights_.size()});
    for (std::size_t j = skipped; j < weights.size(); ++j) {
      weights_.push_back(static_cast<float>(weights[j] / sum));
    }
  }

  void (*combine_)(const float*, float*, const ResampleTaps&, const float*, std::size_t);
  std::size_t outer_ = 1;
  std::size_t inner_ = 1;
  std::size_t block_ = 1;  // floats of a block of the operand
  std::vector<ResampleTaps> taps_;
  std::vector<float> weights_;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Resample& op, const KernelSpec& spec) {
  if (op.kind == Kind::kNearest) return std::make_unique<NearestKernel>(op, spec);
  return std::make_unique<FilterKernel>(op, spec);
}

}  // namespace kerf::engine
#endif
