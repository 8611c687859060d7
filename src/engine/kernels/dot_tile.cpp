// Tiles of the instructions of AVX-512 that multiply pairs of bfloat16, or four bytes by four, and
// add the products to a sum. Highway 1.0 has no target for them, so they are written as intrinsics.
#include <array>
#include <limits>
#include <utility>

#include "engine/kernels/tile.h"
#include "hwy/targets.h"

#if HWY_ARCH_X86
#if HWY_COMPILER_GCC_ACTUAL
// gcc 12 takes what its intrinsics leave undefined on purpose for a mistake (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>

HWY_PUSH_ATTRIBUTES("avx2,fma,bmi,bmi2,avx512f,avx512vl,avx512dq,avx512bw,avx512vnni,avx512bf16")
namespace kerf::engine {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kRows = 14;

__mmask16 first_lanes(std::size_t count) { return static_cast<__mmask16>((1U << count) - 1); }

struct Bfloat16Dot {
  using Sum = __m512;
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum add(Sum a, Sum b) { return _mm512_add_ps(a, b); }
  static Sum dot(Sum sum, __m512i x, __m512i w) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
  }
  // The sums of row m and vector n as floats.
  static __m512 finish(const Tile& /*tile*/, Sum sum, std::size_t /*m*/, std::size_t /*n*/) {
    return sum;
  }
};

// Rows are unsigned bytes q, their numbers scale * (q - zero); the panel's are signed.
struct Int8Dot {
  // Not __m512i, whose elements are longer: gcc 12 would keep the sums in memory.
  using Sum = std::int32_t __attribute__((vector_size(64)));
  static Sum zero() { return Sum{}; }
  static Sum add(Sum a, Sum b) { return a + b; }
  static Sum dot(Sum sum, __m512i x, __m512i w) {
    return (Sum)_mm512_dpbusd_epi32((__m512i)sum, x, w);
  }
  static __m512 finish(const Tile& t, Sum sum, std::size_t m, std::size_t n) {
    const __m512i column_sums = _mm512_loadu_si512(t.int8->column_sums + n * kLanes);
    const __m512i of_zeros =
        _mm512_mullo_epi32(column_sums, _mm512_set1_epi32(t.int8->rows[m].zero));
    const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(t.int8->columns + n * kLanes),
                                       _mm512_set1_ps(t.int8->rows[m].scale));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)sum, of_zeros)), scale);
  }
};

// Few accumulators would wait for each other's results: U sets of them take turns over the words.
template <class Dot, std::size_t M, std::size_t N>
void dot_tile(const Tile& t) {
  constexpr std::size_t U = M * N >= 8 ? 1 : (8 + M * N - 1) / (M * N) >= 4 ? 4 : 2;
  typename Dot::Sum sum[U][M][N];
#pragma GCC unroll 4
  for (std::size_t u = 0; u < U; ++u) {
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[u][m][n] = Dot::zero();
    }
  }
  const float* panel = t.panel;
  const float* ahead = t.ahead;
  const float* row[M];
#pragma GCC unroll 14
  for (std::size_t m = 0; m < M; ++m) row[m] = t.rows[m];
  std::size_t k = 0;
  for (; k + U <= t.depth; k += U, panel += U * N * kLanes) {
    if constexpr (U == 1) {
      __builtin_prefetch(ahead, 0, 2);
      ahead += t.ahead_step;
    }
#pragma GCC unroll 4
    for (std::size_t u = 0; u < U; ++u) {
      __m512i w[N];
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) {
        w[n] = _mm512_load_si512(panel + (u * N + n) * kLanes);
        // Loads are what runs out first: a word that is used several times stays in its register.
        if constexpr (M > 1) asm("" : "+v"(w[n]));
      }
#pragma GCC unroll 14
      for (std::size_t m = 0; m < M; ++m) {
        const __m512i x = _mm512_castps_si512(_mm512_set1_ps(row[m][k + u]));
#pragma GCC unroll 2
        for (std::size_t n = 0; n < N; ++n) sum[u][m][n] = Dot::dot(sum[u][m][n], x, w[n]);
      }
    }
  }
  if constexpr (U > 1) {
    for (; k < t.depth; ++k, panel += N * kLanes) {
#pragma GCC unroll 14
      for (std::size_t m = 0; m < M; ++m) {
        const __m512i x = _mm512_castps_si512(_mm512_set1_ps(row[m][k]));
#pragma GCC unroll 2
        for (std::size_t n = 0; n < N; ++n) {
          sum[0][m][n] = Dot::dot(sum[0][m][n], x, _mm512_load_si512(panel + n * kLanes));
        }
      }
    }
  }
#pragma GCC unroll 4
  for (std::size_t u = 1; u < U; ++u) {
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
#pragma GCC unroll 2
      for (std::size_t n = 0; n < N; ++n) sum[0][m][n] = Dot::add(sum[0][m][n], sum[u][m][n]);
    }
  }
#pragma GCC unroll 2
  for (std::size_t n = 0; n < N; ++n) {
    const __mmask16 there =
        n + 1 < N ? first_lanes(kLanes) : first_lanes(t.columns - (N - 1) * kLanes);
    const __m512 scale =
        t.scale != nullptr ? _mm512_maskz_loadu_ps(there, t.scale + n * kLanes) : _mm512_set1_ps(1);
    const __m512 bias =
        t.bias != nullptr ? _mm512_maskz_loadu_ps(there, t.bias + n * kLanes) : _mm512_setzero_ps();
#pragma GCC unroll 14
    for (std::size_t m = 0; m < M; ++m) {
      const std::size_t at = m * t.out_stride + n * kLanes;
      __m512 y = _mm512_fmadd_ps(Dot::finish(t, sum[0][m][n], m, n), scale, bias);
      if (t.residual != nullptr) {
        y = _mm512_add_ps(y, _mm512_maskz_loadu_ps(there, t.residual + at));
      }
      if (t.clamp) {  // which gives NaN for NaN
        y = _mm512_min_ps(_mm512_set1_ps(t.high), _mm512_max_ps(_mm512_set1_ps(t.low), y));
      }
      _mm512_mask_storeu_ps(t.out + at, there, y);
    }
  }
}

void round_to_bfloat16(const RowRounding& r) {
  const std::size_t tap_words = (r.depth + 1) / 2;
  for (std::size_t i = 0; i < r.count; ++i) {
    for (std::size_t tap = 0; tap < r.taps; ++tap) {
      const float* from = r.rows[tap * r.count + i];
      auto* to = reinterpret_cast<std::uint16_t*>(r.to + i * r.stride + tap * tap_words);
      std::size_t k = 0;
      for (; k + kLanes <= r.depth; k += kLanes) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k),
                            (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(from + k)));
      }
      if (k < r.depth) {
        const std::size_t rest = r.depth - k;
        const __m512 x = _mm512_maskz_loadu_ps(first_lanes(rest), from + k);
        _mm256_mask_storeu_epi16(to + k, first_lanes((rest + 1) / 2 * 2),
                                 (__m256i)_mm512_cvtneps_pbh(x));
      }
    }
  }
}

// The least and the greatest of numbers and of zero, and whether one of them is none.
struct Range {
  __m512 least;
  __m512 greatest;
  __mmask16 nan;

  void add(__m512 x) {
    nan = static_cast<__mmask16>(nan | _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q));
    least = _mm512_min_ps(least, x);
    greatest = _mm512_max_ps(greatest, x);
  }
  void add(const Range& other) {
    nan = static_cast<__mmask16>(nan | other.nan);
    least = _mm512_min_ps(least, other.least);
    greatest = _mm512_max_ps(greatest, other.greatest);
  }
};

Range range_of(const RowRounding& r, std::size_t i) {
  Range range{_mm512_setzero_ps(), _mm512_setzero_ps(), 0};
  Range odd = range;  // does not wait for the other's results
  for (std::size_t tap = 0; tap < r.taps; ++tap) {
    const float* from = r.rows[tap * r.count + i];
    std::size_t k = 0;
    for (; k + 2 * kLanes <= r.depth; k += 2 * kLanes) {
      range.add(_mm512_loadu_ps(from + k));
      odd.add(_mm512_loadu_ps(from + k + kLanes));
    }
    for (; k < r.depth; k += kLanes) {
      const std::size_t rest = r.depth - k;
      range.add(_mm512_maskz_loadu_ps(first_lanes(rest < kLanes ? rest : kLanes), from + k));
    }
  }
  range.add(odd);
  return range;
}

// Zero is a number of each row's scale, so that what is added behind a piece changes nothing. A row
// that is not finite gets the scale NaN.
void round_to_bytes(const RowRounding& r) {
  const std::size_t tap_words = (r.depth + 3) / 4;
  for (std::size_t i = 0; i < r.count; ++i) {
    const Range range = range_of(r, i);
    const float least = _mm512_reduce_min_ps(range.least);
    const float width = _mm512_reduce_max_ps(range.greatest) - least;
    const bool finite = range.nan == 0 && width <= std::numeric_limits<float>::max();
    const float scale = finite ? width / 255 : std::numeric_limits<float>::quiet_NaN();
    const float inverse = finite && scale > 0 ? 1 / scale : 0;
    const bool usable = inverse <= std::numeric_limits<float>::max();
    const __m512 factor = _mm512_set1_ps(usable ? inverse : 0);
    const __m512 zero =
        _mm512_roundscale_ps(_mm512_set1_ps(finite && usable ? -least * inverse : 0), 0);
    r.scales[i] = {.scale = scale, .zero = static_cast<std::int32_t>(_mm512_cvtss_f32(zero))};
    const auto bytes = [&](__m512 x) __attribute__((always_inline)) {
      const __m512i q = _mm512_cvtps_epi32(_mm512_fmadd_ps(x, factor, zero));
      return _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512()));
    };
    for (std::size_t tap = 0; tap < r.taps; ++tap) {
      const float* from = r.rows[tap * r.count + i];
      auto* to = reinterpret_cast<std::uint8_t*>(r.to + i * r.stride + tap * tap_words);
      std::size_t k = 0;
      for (; k + kLanes <= r.depth; k += kLanes) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + k), bytes(_mm512_loadu_ps(from + k)));
      }
      if (k < r.depth) {
        const std::size_t rest = r.depth - k;
        _mm_mask_storeu_epi8(to + k, first_lanes((rest + 3) / 4 * 4),
                             bytes(_mm512_maskz_loadu_ps(first_lanes(rest), from + k)));
      }
    }
  }
}

template <class Dot, std::size_t N, std::size_t... M>
constexpr std::array<TileFunction, TileSet::kMaxRows> dot_tiles(std::index_sequence<M...>) {
  return {dot_tile<Dot, M + 1, N>...};
}

template <class Dot>
constexpr TileSet make_dot_set(double flops, RowRoundingFunction round_rows,
                               double rounding_seconds, std::string_view method) {
  using Rows = std::make_index_sequence<kRows>;
  return {.lanes = kLanes,
          .rows = kRows,
          .functions = {dot_tiles<Dot, 1>(Rows()), dot_tiles<Dot, 2>(Rows())},
          .flops_per_second = flops,
          .round_rows = round_rows,
          .rounding_seconds = rounding_seconds,
          .method = method};
}

constexpr TileSet kBfloat16Tiles =
    make_dot_set<Bfloat16Dot>(4.9e11, round_to_bfloat16, 7.5e-11, "bf16 dot products");
constexpr TileSet kInt8Tiles =
    make_dot_set<Int8Dot>(9.3e11, round_to_bytes, 1.65e-10, "int8 dot products");

}  // namespace
}  // namespace kerf::engine
HWY_POP_ATTRIBUTES

namespace kerf::engine {

const TileSet* dot_tile_set(Precision precision, std::size_t depth) {
  if ((hwy::SupportedTargets() & HWY_AVX3) == 0) return nullptr;
  __builtin_cpu_init();
  if (precision == Precision::kBfloat16 && __builtin_cpu_supports("avx512bf16") != 0) {
    return &kBfloat16Tiles;
  }
  // Sums of 255 * 127 each stay in 32 bits.
  constexpr std::size_t kMaxDepth = std::size_t{1} << 16;
  if (precision == Precision::kInt8 && depth <= kMaxDepth &&
      __builtin_cpu_supports("avx512vnni") != 0) {
    return &kInt8Tiles;
  }
  return nullptr;
}

}  // namespace kerf::engine

#else

namespace kerf::engine {

const TileSet* dot_tile_set(Precision /*precision*/, std::size_t /*depth*/) { return nullptr; }

}  // namespace kerf::engine
#endif
