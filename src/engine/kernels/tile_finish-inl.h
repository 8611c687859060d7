// What a tile does to its sums at the end. Compiled once per target.
#if defined(KERF_TILE_FINISH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERF_TILE_FINISH_INL_H_
#undef KERF_TILE_FINISH_INL_H_
#else
#define KERF_TILE_FINISH_INL_H_
#endif

#include <cstddef>

#include "engine/kernels/partial-inl.h"
#include "engine/kernels/tile.h"
#include "engine/kernels/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;
inline constexpr std::size_t kLanes = hn::MaxLanes(Tag());

// The columns of a panel. All of them exist, or all of the first vectors and `count` of the last
// one.
struct WholePanel {
  HWY_INLINE Vector load(const float* from, bool /*last*/) const { return hn::LoadU(Tag(), from); }
  HWY_INLINE void store(Vector v, float* to, bool /*last*/) const { hn::StoreU(v, Tag(), to); }
};
struct PartOfPanel {
  std::size_t count;
  HWY_INLINE Vector load(const float* from, bool last) const {
    return last ? load_partial(Tag(), from, count) : hn::LoadU(Tag(), from);
  }
  HWY_INLINE void store(Vector v, float* to, bool last) const {
    if (last) {
      store_partial(v, Tag(), to, count);
    } else {
      hn::StoreU(v, Tag(), to);
    }
  }
};

// Scales, adds bias and residual, clamps and stores.
template <std::size_t M, std::size_t N, class Columns>
HWY_INLINE void finish(const Tile& t, Vector (&sum)[M][N], const Columns& columns) {
  const Tag d;
  if (t.scale != nullptr) {
    Vector scale[N];
    Vector bias[N];
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) {
      scale[n] = columns.load(t.scale + n * kLanes, n + 1 == N);
      bias[n] = t.bias != nullptr ? columns.load(t.bias + n * kLanes, n + 1 == N) : hn::Zero(d);
    }
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[m][n] = hn::MulAdd(sum[m][n], scale[n], bias[n]);
    }
  } else if (t.bias != nullptr) {
    Vector bias[N];
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) bias[n] = columns.load(t.bias + n * kLanes, n + 1 == N);
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[m][n] = hn::Add(sum[m][n], bias[n]);
    }
  }
  if (t.residual != nullptr) {
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) {
        const Vector r = columns.load(t.residual + m * t.out_stride + n * kLanes, n + 1 == N);
        sum[m][n] = hn::Add(sum[m][n], r);
      }
    }
  }
  if (t.clamp) {
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[m][n] = clip(d, sum[m][n], t.low, t.high);
    }
  }
#pragma GCC unroll 14
  for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) {
      columns.store(sum[m][n], t.out + m * t.out_stride + n * kLanes, n + 1 == N);
    }
  }
}

// The same where parts of vectors are slow, from sums in memory.
[[maybe_unused]] HWY_NOINLINE inline void finish_partial(const Tile& t, const float* sums,
                                                         std::size_t rows, std::size_t width) {
  const Tag d;
  for (std::size_t first = 0; first < t.columns; first += kLanes) {
    const std::size_t count = t.columns - first < kLanes ? t.columns - first : kLanes;
    const Vector scale =
        t.scale != nullptr ? load_partial(d, t.scale + first, count) : hn::Set(d, 1);
    const Vector bias = t.bias != nullptr ? load_partial(d, t.bias + first, count) : hn::Zero(d);
    for (std::size_t m = 0; m < rows; ++m) {
      Vector sum = hn::MulAdd(hn::Load(d, sums + m * width + first), scale, bias);
      const std::size_t at = m * t.out_stride + first;
      if (t.residual != nullptr) {
        sum = hn::Add(sum, load_partial(d, t.residual + at, count));
      }
      if (t.clamp) sum = clip(d, sum, t.low, t.high);
      store_partial(sum, d, t.out + at, count);
    }
  }
}

template <std::size_t M, std::size_t N>
HWY_INLINE void finish_tile(const Tile& t, Vector (&sum)[M][N]) {
  [[maybe_unused]] const Tag d;
  if (t.columns == N * kLanes) {
    finish(t, sum, WholePanel());
  } else if constexpr (kMasked) {
    finish(t, sum, PartOfPanel{t.columns - (N - 1) * kLanes});
  } else {
    HWY_ALIGN float sums[M * N * kLanes];
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) hn::Store(sum[m][n], d, sums + (m * N + n) * kLanes);
    }
    finish_partial(t, sums, M, N * kLanes);
  }
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
