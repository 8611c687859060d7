#include "engine/kernels/reduce.h"
#include "engine/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/reduce_float.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/lines-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

using program::Reduce;

// Where the innermost axis goes: each result is the sum of dense lines.
template <class Line>
HWY_INLINE float sum_lines(const LoopNest<1>& reduced, const float* x, const Line& line) {
  double total = 0;
  for (std::size_t row = 0; row < reduced.rows(); ++row) total += line(x + reduced.at(row)[0]);
  return static_cast<float>(total);
}

template <bool kMaximum>
HWY_INLINE float extreme_of_lines(const LoopNest<1>& reduced, const float* x) {
  float best = Extreme<kMaximum>::kStart;
  for (std::size_t row = 0; row < reduced.rows(); ++row) {
    const float next = extreme_of<kMaximum>(x + reduced.at(row)[0], reduced.columns());
    const bool better = kMaximum ? next > best : next < best;
    if (better || next != next) best = next;
    if (best != best) break;
  }
  return best;
}

// Where it stays: a strip of results at once. As in sum_of, many short sums are added up.
HWY_INLINE FloatVector sum_strip(const LoopNest<1>& reduced, const float* x, std::size_t lanes) {
  const FloatTag d;
  constexpr std::size_t kRounds = 64;
  FloatVector total = hn::Zero(d);
  FloatVector sum = total;
  std::size_t round = 0;
  const std::size_t step = reduced.strides[0][reduced.rank - 1];
  for (std::size_t row = 0; row < reduced.rows(); ++row) {
    const float* from = x + reduced.at(row)[0];
    for (std::size_t i = 0; i < reduced.columns(); ++i) {
      sum = hn::Add(sum, load_strip(from + i * step, lanes));
      if (++round == kRounds) {
        total = hn::Add(total, sum);
        sum = hn::Zero(d);
        round = 0;
      }
    }
  }
  return hn::Add(total, sum);
}

template <bool kMaximum>
HWY_INLINE FloatVector extreme_strip(const LoopNest<1>& reduced, const float* x,
                                     std::size_t lanes) {
  Extreme<kMaximum> best;
  const std::size_t step = reduced.strides[0][reduced.rank - 1];
  for (std::size_t row = 0; row < reduced.rows(); ++row) {
    const float* from = x + reduced.at(row)[0];
    for (std::size_t i = 0; i < reduced.columns(); ++i) {
      best.add(load_strip(from + i * step, lanes));
    }
  }
  return best.lanes();
}

// Results [begin, end), innermost axis gone.
void reduce_lines(const ReduceLoops& loops, Reduce::Kind kind, const float* x, float* y,
                  std::size_t begin, std::size_t end) {
  const std::size_t columns = loops.kept.columns();
  const std::size_t step = loops.kept.strides[0][loops.kept.rank - 1];
  const std::size_t length = loops.reduced.columns();
  const auto count = static_cast<float>(loops.reduced.rows() * length);
  for (std::size_t i = begin; i < end; ++i) {
    const float* from = x + loops.kept.at(i / columns)[0] + i % columns * step;
    if (kind == Reduce::Kind::kMax) {
      y[i] = extreme_of_lines<true>(loops.reduced, from);
    } else if (kind == Reduce::Kind::kMin) {
      y[i] = extreme_of_lines<false>(loops.reduced, from);
    } else {
      const float sum = sum_lines(loops.reduced, from,
                                  [length](const float* line) { return sum_of(line, length); });
      y[i] = kind == Reduce::Kind::kMean ? sum / count : sum;
    }
  }
}

// Results [begin, end), innermost axis kept.
void reduce_strips(const ReduceLoops& loops, Reduce::Kind kind, const float* x, float* y,
                   std::size_t begin, std::size_t end) {
  const FloatTag d;
  const std::size_t columns = loops.kept.columns();
  const FloatVector count =
      hn::Set(d, static_cast<float>(loops.reduced.rows() * loops.reduced.columns()));
  for (std::size_t at = begin; at < end;) {
    const std::size_t column = at % columns;
    const std::size_t length = std::min(columns - column, end - at);
    const float* from = x + loops.kept.at(at / columns)[0] + column;
    for_each_strip(length, [&](std::size_t i, std::size_t lanes) {
      FloatVector v;
      if (kind == Reduce::Kind::kMax) {
        v = extreme_strip<true>(loops.reduced, from + i, lanes);
      } else if (kind == Reduce::Kind::kMin) {
        v = extreme_strip<false>(loops.reduced, from + i, lanes);
      } else {
        v = sum_strip(loops.reduced, from + i, lanes);
        if (kind == Reduce::Kind::kMean) v = hn::Div(v, count);
      }
      store_strip(v, y + at + i, lanes);
    });
    at += length;
  }
}

auto reduce_lines_of_target() { return reduce_lines; }
auto reduce_strips_of_target() { return reduce_strips; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <memory>

namespace kerf::engine {
namespace {

HWY_EXPORT(reduce_lines_of_target);
HWY_EXPORT(reduce_strips_of_target);

class FloatReduceKernel final : public Kernel {
 public:
  FloatReduceKernel(const program::Reduce& op, const KernelSpec& spec)
      : loops_(op.axes, spec.operands[0].shape),
        kind_(op.kind),
        count_(element_count(spec.results[0])),
        seconds_(static_cast<double>(element_count(spec.operands[0])) * 8e-11 +
                 static_cast<double>(count_) * 2e-9) {
    const LoopNest<1>& kept = loops_.kept;
    reduce_ = kept.columns() > 1 && kept.strides[0][kept.rank - 1] == 1
                  ? HWY_DYNAMIC_DISPATCH(reduce_strips_of_target)()
                  : HWY_DYNAMIC_DISPATCH(reduce_lines_of_target)();
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    auto* y = static_cast<float*>(run.results[0]);
    constexpr std::size_t kGrain = 64;
    parallel_ranges(
        run.pool, count_, seconds_,
        [&](std::size_t begin, std::size_t end) { reduce_(loops_, kind_, x, y, begin, end); },
        kGrain);
    return true;
  }

  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  ReduceLoops loops_;
  program::Reduce::Kind kind_;
  std::size_t count_;
  double seconds_;
  void (*reduce_)(const ReduceLoops&, program::Reduce::Kind, const float*, float*, std::size_t,
                  std::size_t);
};

}  // namespace

KernelPtr make_float_reduce(const program::Reduce& op, const KernelSpec& spec) {
  return std::make_unique<FloatReduceKernel>(op, spec);
}

}  // namespace kerf::engine
#endif
