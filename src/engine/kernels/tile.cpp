#include "engine/kernels/tile.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/tile.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/tile_finish-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

// As many accumulators as leave registers for one row of the panel and one broadcast.
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kRows = 14;
constexpr double kFlops = 2.4e11;
#elif HWY_TARGET == HWY_AVX2
constexpr std::size_t kRows = 6;
constexpr double kFlops = 1.2e11;
#elif HWY_TARGET == HWY_NEON
constexpr std::size_t kRows = 12;
constexpr double kFlops = 3e10;
#else
constexpr std::size_t kRows = 5;
constexpr double kFlops = 4e10;
#endif

// Few accumulators would wait for each other's results: U sets of them take turns over the depth.
template <std::size_t M, std::size_t N>
HWY_NOINLINE void tile(const Tile& t) {
  constexpr std::size_t U = M * N >= 8 ? 1 : (8 + M * N - 1) / (M * N) >= 4 ? 4 : 2;
  const Tag d;
  Vector sum[U][M][N];
#pragma GCC unroll 4
  for (std::size_t u = 0; u < U; ++u) {
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[u][m][n] = hn::Zero(d);
    }
  }
  const float* panel = t.panel;
  const float* ahead = t.ahead;
  const float* const* rows = t.rows;
  for (std::size_t tap = 0; tap < t.taps; ++tap, rows += t.tap_stride) {
    const float* row[M];
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) row[m] = rows[m];
    std::size_t k = 0;
    for (; k + U <= t.depth; k += U, panel += U * N * kLanes) {
      // A tile of many rows leaves the time for that.
      if constexpr (U == 1) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += t.ahead_step;
      }
#pragma GCC unroll 4
      for (std::size_t u = 0; u < U; ++u) {
        Vector b[N];
#pragma GCC unroll 2
        for (std::size_t n = 0; n < N; ++n) {
          b[n] = hn::Load(d, panel + (u * N + n) * kLanes);
          if constexpr (M > 1) keep_loaded(b[n]);
        }
#pragma GCC unroll 14
        for (std::size_t m = 0; m < M; ++m) {
          const Vector a = hn::Set(d, row[m][k + u]);
#pragma GCC unroll 2
          for (std::size_t n = 0; n < N; ++n) sum[u][m][n] = hn::MulAdd(a, b[n], sum[u][m][n]);
        }
      }
    }
    if constexpr (U > 1) {
      for (; k < t.depth; ++k, panel += N * kLanes) {
#pragma GCC unroll 14
        for (std::size_t m = 0; m < M; ++m) {
          const Vector a = hn::Set(d, row[m][k]);
#pragma GCC unroll 2
          for (std::size_t n = 0; n < N; ++n) {
            sum[0][m][n] = hn::MulAdd(a, hn::Load(d, panel + n * kLanes), sum[0][m][n]);
          }
        }
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t u = 1; u < U; ++u) {
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[0][m][n] = hn::Add(sum[0][m][n], sum[u][m][n]);
    }
  }
  finish_tile(t, sum[0]);
}

template <std::size_t N, std::size_t... M>
constexpr std::array<TileFunction, TileSet::kMaxRows> tiles(std::index_sequence<M...>) {
  return {tile<M + 1, N>...};
}

const TileSet& tile_set_of_target() {
  using Rows = std::make_index_sequence<kRows>;
  static constexpr TileSet kSet{.lanes = kLanes,
                                .rows = kRows,
                                .functions = {tiles<1>(Rows()), tiles<2>(Rows())},
                                .flops_per_second = kFlops};
  return kSet;
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {

HWY_EXPORT(tile_set_of_target);

const TileSet& tile_set() { return HWY_DYNAMIC_DISPATCH(tile_set_of_target)(); }

}  // namespace kerf::engine
#endif
