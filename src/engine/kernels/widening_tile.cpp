#include <utility>

#include "engine/kernels/tile.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/widening_tile.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/tile_finish-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

// Beside the accumulators, registers hold the words, one widened row of the panel and a broadcast.
#if HWY_TARGET == HWY_AVX3
constexpr std::size_t kWideningRows = 12;
constexpr double kWideningFlops = 2.2e11;
#elif HWY_TARGET == HWY_AVX2
constexpr std::size_t kWideningRows = 5;
constexpr double kWideningFlops = 1.1e11;
#elif HWY_TARGET == HWY_NEON
constexpr std::size_t kWideningRows = 12;
constexpr double kWideningFlops = 2e10;
#else
constexpr std::size_t kWideningRows = 4;
constexpr double kWideningFlops = 3e10;
#endif

using Words = hn::Vec<hn::RebindToUnsigned<Tag>>;

// What the words of a panel hold: number J of each as a float.
struct Bfloat16Words {
  static constexpr std::size_t kNumbers = 2;
  template <std::size_t J>
  static HWY_INLINE Vector number(Words words) {
    if constexpr (J == 0) return hn::BitCast(Tag(), hn::ShiftLeft<16>(words));
    return hn::BitCast(Tag(), hn::ShiftLeft<16>(hn::ShiftRight<16>(words)));
  }
};
struct Int8Words {
  static constexpr std::size_t kNumbers = 4;
  template <std::size_t J>
  static HWY_INLINE Vector number(Words words) {
    const hn::RebindToSigned<Tag> d;
    return hn::ConvertTo(Tag(),
                         hn::ShiftRight<24>(hn::BitCast(d, hn::ShiftLeft<24 - 8 * J>(words))));
  }
};

// Number J of a word each: k is its place in the rows.
template <class Format, std::size_t J, std::size_t M, std::size_t N>
HWY_INLINE void add_number(const float* const (&row)[M], std::size_t k, const Words (&words)[N],
                           Vector (&sum)[M][N]) {
  Vector b[N];
#pragma GCC unroll 2
  for (std::size_t n = 0; n < N; ++n) {
    b[n] = Format::template number<J>(words[n]);
    if constexpr (M > 1) keep_loaded(b[n]);
  }
#pragma GCC unroll 12
  for (std::size_t m = 0; m < M; ++m) {
    const Vector a = hn::Set(Tag(), row[m][k]);
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) sum[m][n] = hn::MulAdd(a, b[n], sum[m][n]);
  }
}

template <std::size_t N>
HWY_INLINE void load_words(const float* panel, Words (&words)[N]) {
#pragma GCC unroll 2
  for (std::size_t n = 0; n < N; ++n) {
    words[n] = hn::BitCast(hn::RebindToUnsigned<Tag>(), hn::Load(Tag(), panel + n * kLanes));
  }
}

// Few accumulators would wait for each other's results: U sets of them take turns.
template <class Format, std::size_t M, std::size_t N>
HWY_NOINLINE void widening_tile(const Tile& t) {
  constexpr std::size_t kNumbers = Format::kNumbers;
  constexpr std::size_t U = M * N >= 8 ? 1 : kNumbers;
  const Tag d;
  Vector sum[U][M][N];
#pragma GCC unroll 4
  for (std::size_t u = 0; u < U; ++u) {
#pragma GCC unroll 12
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
#pragma GCC unroll 12
    for (std::size_t m = 0; m < M; ++m) row[m] = rows[m];
    Words words[N];
    std::size_t k = 0;
    for (; k + kNumbers <= t.depth; k += kNumbers, panel += N * kLanes) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += t.ahead_step;
      load_words(panel, words);
      add_number<Format, 0>(row, k, words, sum[0]);
      add_number<Format, 1>(row, k + 1, words, sum[1 % U]);
      if constexpr (kNumbers == 4) {
        add_number<Format, 2>(row, k + 2, words, sum[2 % U]);
        add_number<Format, 3>(row, k + 3, words, sum[3 % U]);
      }
    }
    if (k == t.depth) continue;
    load_words(panel, words);
    panel += N * kLanes;
    add_number<Format, 0>(row, k, words, sum[0]);
    if constexpr (kNumbers == 4) {
      if (k + 1 < t.depth) add_number<Format, 1>(row, k + 1, words, sum[0]);
      if (k + 2 < t.depth) add_number<Format, 2>(row, k + 2, words, sum[0]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t u = 1; u < U; ++u) {
#pragma GCC unroll 12
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[0][m][n] = hn::Add(sum[0][m][n], sum[u][m][n]);
    }
  }
  if constexpr (kNumbers == 4) {
#pragma GCC unroll 2
    for (std::size_t n = 0; n < N; ++n) {
      const Vector scale = hn::Load(d, t.int8->columns + n * kLanes);
#pragma GCC unroll 12
      for (std::size_t m = 0; m < M; ++m) sum[0][m][n] = hn::Mul(sum[0][m][n], scale);
    }
  }
  finish_tile(t, sum[0]);
}

template <class Format, std::size_t N, std::size_t... M>
constexpr std::array<TileFunction, TileSet::kMaxRows> widening_tiles(std::index_sequence<M...>) {
  return {widening_tile<Format, M + 1, N>...};
}

template <class Format>
constexpr TileSet make_widening_set(std::string_view method) {
  using Rows = std::make_index_sequence<kWideningRows>;
  return {.lanes = kLanes,
          .rows = kWideningRows,
          .functions = {widening_tiles<Format, 1>(Rows()), widening_tiles<Format, 2>(Rows())},
          .flops_per_second = kWideningFlops,
          .method = method};
}

const TileSet& widening_set_of_target(bool int8) {
  static constexpr TileSet kBfloat16 = make_widening_set<Bfloat16Words>("widened bf16");
  static constexpr TileSet kInt8 = make_widening_set<Int8Words>("widened int8");
  return int8 ? kInt8 : kBfloat16;
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {
namespace {

bool dot_tiles_used = true;

}  // namespace

HWY_EXPORT(widening_set_of_target);

const TileSet& widening_tile_set(Precision precision) {
  return HWY_DYNAMIC_DISPATCH(widening_set_of_target)(precision == Precision::kInt8);
}

void use_dot_tiles(bool use) noexcept { dot_tiles_used = use; }

const TileSet& tile_set(Precision precision, std::size_t depth, std::size_t columns) {
  if (precision == Precision::kFloat32) return tile_set();
  const TileSet& widening = widening_tile_set(precision);
  const TileSet* dot = dot_tiles_used ? dot_tile_set(precision, depth) : nullptr;
  if (dot == nullptr) return widening;
  // Of a number of a row: few columns do not repay rounding it.
  const auto seconds = [columns](const TileSet& set) {
    return set.rounding_seconds + 2 * static_cast<double>(columns) / set.flops_per_second;
  };
  return seconds(*dot) < seconds(widening) ? *dot : widening;
}

}  // namespace kerf::engine
#endif
