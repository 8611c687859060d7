#include "engine/kernels/transpose_floats.h"

#include "hwy/highway.h"

namespace kerf::engine {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// A square of four by four.
HWY_INLINE void transpose_square(const float* from, std::size_t from_stride, float* to,
                                 std::size_t to_stride) {
  const hn::Full128<float> d;
  const hn::Repartition<double, decltype(d)> pairs;
  const auto row = [&](std::size_t i) { return hn::LoadU(d, from + i * from_stride); };
  const auto ab_low = hn::BitCast(pairs, hn::InterleaveLower(d, row(0), row(1)));
  const auto ab_high = hn::BitCast(pairs, hn::InterleaveUpper(d, row(0), row(1)));
  const auto cd_low = hn::BitCast(pairs, hn::InterleaveLower(d, row(2), row(3)));
  const auto cd_high = hn::BitCast(pairs, hn::InterleaveUpper(d, row(2), row(3)));
  const auto store = [&](auto v, std::size_t i) {
    hn::StoreU(hn::BitCast(d, v), d, to + i * to_stride);
  };
  store(hn::InterleaveLower(pairs, ab_low, cd_low), 0);
  store(hn::InterleaveUpper(pairs, ab_low, cd_low), 1);
  store(hn::InterleaveLower(pairs, ab_high, cd_high), 2);
  store(hn::InterleaveUpper(pairs, ab_high, cd_high), 3);
}

}  // namespace

void transpose_floats(const float* from, std::size_t rows, std::size_t columns,
                      std::size_t from_stride, float* to, std::size_t to_stride) noexcept {
  const std::size_t square_rows = rows / 4 * 4;
  const std::size_t square_columns = columns / 4 * 4;
  for (std::size_t c = 0; c < square_columns; c += 4) {
    for (std::size_t r = 0; r < square_rows; r += 4) {
      transpose_square(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    }
  }
  for (std::size_t c = 0; c < columns; ++c) {
    for (std::size_t r = c < square_columns ? square_rows : 0; r < rows; ++r) {
      to[c * to_stride + r] = from[r * from_stride + c];
    }
  }
}

}  // namespace kerf::engine
