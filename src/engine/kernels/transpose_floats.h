#pragma once

#include <cstddef>

namespace kerf::engine {

// to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns; no overlap.
void transpose_floats(const float* from, std::size_t rows, std::size_t columns,
                      std::size_t from_stride, float* to, std::size_t to_stride) noexcept;

}  // namespace kerf::engine
