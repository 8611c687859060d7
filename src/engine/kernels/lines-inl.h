// Sums and extremes of floats in memory. Compiled once per target.
#if defined(KERF_LINES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERF_LINES_INL_H_
#undef KERF_LINES_INL_H_
#else
#define KERF_LINES_INL_H_
#endif

#include <cstddef>
#include <limits>

#include "engine/kernels/partial-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using FloatVector = hn::Vec<FloatTag>;
using FloatMask = hn::Mask<FloatTag>;

// The largest (or smallest) of vectors, lane by lane; NaN where there was one.
template <bool kMaximum>
class Extreme {
 public:
  static constexpr float kStart =
      kMaximum ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();

  HWY_INLINE Extreme()
      : best_(hn::Set(FloatTag(), kStart)), nan_(hn::IsNaN(hn::Zero(FloatTag()))) {}

  HWY_INLINE void add(FloatVector v) {
    nan_ = hn::Or(nan_, hn::IsNaN(v));
    best_ = kMaximum ? hn::Max(best_, v) : hn::Min(best_, v);
  }
  HWY_INLINE FloatVector lanes() const {
    const FloatTag d;
    return hn::IfThenElse(nan_, hn::NaN(d), best_);
  }
  HWY_INLINE float finish() const {
    const FloatTag d;
    if (!hn::AllFalse(d, nan_)) return std::numeric_limits<float>::quiet_NaN();
    return hn::GetLane(kMaximum ? hn::MaxOfLanes(d, best_) : hn::MinOfLanes(d, best_));
  }

 private:
  FloatVector best_;
  FloatMask nan_;
};

template <bool kMaximum>
HWY_INLINE float extreme_of(const float* x, std::size_t count) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  Extreme<kMaximum> first;
  Extreme<kMaximum> second;
  std::size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    first.add(hn::LoadU(d, x + i));
    second.add(hn::LoadU(d, x + i + lanes));
  }
  first.add(second.lanes());
  for (; i < count; i += lanes) {
    const std::size_t rest = count - i;
    if (rest >= lanes) {
      first.add(hn::LoadU(d, x + i));
    } else {
      first.add(hn::IfThenElse(hn::FirstN(d, rest), load_partial(d, x + i, rest),
                               hn::Set(d, Extreme<kMaximum>::kStart)));
    }
  }
  return first.finish();
}

// The sum of map(x[i]). Many short sums are added up, so that rounding stays small.
template <class Map>
HWY_INLINE float sum_of(const float* x, std::size_t count, const Map& map) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  constexpr std::size_t kRounds = 32;
  FloatVector total = hn::Zero(d);
  std::size_t i = 0;
  while (i + 4 * lanes <= count) {
    FloatVector s0 = hn::Zero(d);
    FloatVector s1 = s0;
    FloatVector s2 = s0;
    FloatVector s3 = s0;
    for (std::size_t round = 0; round < kRounds && i + 4 * lanes <= count; ++round) {
      s0 = hn::Add(s0, map(hn::LoadU(d, x + i)));
      s1 = hn::Add(s1, map(hn::LoadU(d, x + i + lanes)));
      s2 = hn::Add(s2, map(hn::LoadU(d, x + i + 2 * lanes)));
      s3 = hn::Add(s3, map(hn::LoadU(d, x + i + 3 * lanes)));
      i += 4 * lanes;
    }
    total = hn::Add(total, hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)));
  }
  for (; i + lanes <= count; i += lanes) total = hn::Add(total, map(hn::LoadU(d, x + i)));
  if (i < count) {
    const std::size_t rest = count - i;
    const FloatVector last = map(load_partial(d, x + i, rest));
    total = hn::Add(total, hn::IfThenElseZero(hn::FirstN(d, rest), last));
  }
  return hn::GetLane(hn::SumOfLanes(d, total));
}

HWY_INLINE float sum_of(const float* x, std::size_t count) {
  return sum_of(x, count, [](FloatVector v) { return v; });
}

// y[i] = map(x[i]).
template <class Map>
HWY_INLINE void map_line(const float* x, float* y, std::size_t count, const Map& map) {
  const FloatTag d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(map(hn::LoadU(d, x + i)), d, y + i);
  if (i < count) store_partial(map(load_partial(d, x + i, count - i)), d, y + i, count - i);
}

// Calls strip(i, lanes) over [0, count) in whole vectors, then with what remains.
template <class Strip>
HWY_INLINE void for_each_strip(std::size_t count, const Strip& strip) {
  const std::size_t lanes = hn::Lanes(FloatTag());
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) strip(i, lanes);
  if (i < count) strip(i, count - i);
}

HWY_INLINE FloatVector load_strip(const float* from, std::size_t lanes) {
  const FloatTag d;
  return lanes == hn::Lanes(d) ? hn::LoadU(d, from) : load_partial(d, from, lanes);
}
HWY_INLINE void store_strip(FloatVector v, float* to, std::size_t lanes) {
  const FloatTag d;
  if (lanes == hn::Lanes(d)) {
    hn::StoreU(v, d, to);
  } else {
    store_partial(v, d, to, lanes);
  }
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
