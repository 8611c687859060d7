#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "kerf/tensor.h"
#include "program/op.h"

// How kernels see shapes: as few axes as possible, with strides in elements.
namespace kerf::engine {

inline std::size_t element_count(const program::ValueType& type) {
  return static_cast<std::size_t>(type.shape.element_count());
}

inline std::size_t element_size(const program::ValueType& type) noexcept {
  return kerf::element_size(type.dtype);
}

// A shape around one axis: (outer, size, inner).
struct AxisSplit {
  std::size_t axis = 0;  // counted from the front
  std::size_t outer = 1;
  std::size_t size = 1;
  std::size_t inner = 1;
};

inline AxisSplit split_at(const Shape& shape, std::int64_t axis) noexcept {
  AxisSplit split;
  split.axis =
      static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(shape.rank()) : axis);
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    const auto size = static_cast<std::size_t>(shape[i]);
    if (i < split.axis) {
      split.outer *= size;
    } else if (i == split.axis) {
      split.size = size;
    } else {
      split.inner *= size;
    }
  }
  return split;
}

// A nest of loops over N arrays: sizes outermost first, and for each array the elements between
// neighbours on each axis (0 where it is broadcast).
template <std::size_t N>
struct LoopNest {
  std::size_t rank = 0;
  std::array<std::size_t, Shape::kMaxRank> sizes{};
  std::array<std::array<std::size_t, Shape::kMaxRank>, N> strides{};

  // Adds an axis inside those there are; joins it with the one before where it continues it in
  // every array.
  void add(std::size_t size, const std::array<std::size_t, N>& step) noexcept {
    if (size == 1) return;
    bool joins = rank != 0;
    for (std::size_t n = 0; n < N && joins; ++n) {
      joins = strides[n][rank - 1] == step[n] * size;
    }
    if (!joins) ++rank;
    sizes[rank - 1] = joins ? sizes[rank - 1] * size : size;
    for (std::size_t n = 0; n < N; ++n) strides[n][rank - 1] = step[n];
  }

  // An innermost axis of one element where there is none.
  void finish() noexcept {
    if (rank == 0) {
      rank = 1;
      sizes[0] = 1;
    }
  }

  // Products of all sizes but the innermost, and the innermost.
  std::size_t rows() const noexcept {
    std::size_t product = 1;
    for (std::size_t i = 0; i + 1 < rank; ++i) product *= sizes[i];
    return product;
  }
  std::size_t columns() const noexcept { return sizes[rank - 1]; }

  // Where row `row` starts in each array.
  std::array<std::size_t, N> at(std::size_t row) const noexcept {
    std::array<std::size_t, N> offsets{};
    for (std::size_t i = rank - 1; i-- > 0;) {
      const std::size_t index = row % sizes[i];
      row /= sizes[i];
      for (std::size_t n = 0; n < N; ++n) offsets[n] += index * strides[n][i];
    }
    return offsets;
  }
};

// The loops of an op whose operands broadcast to `result` as NumPy does.
template <std::size_t N>
LoopNest<N> broadcast_loops(const Shape& result, const std::array<const Shape*, N>& operands) {
  // Dense strides of each operand, right-aligned.
  std::array<std::array<std::size_t, Shape::kMaxRank>, N> strides{};
  for (std::size_t n = 0; n < N; ++n) {
    const Shape& shape = *operands[n];
    std::size_t stride = 1;
    for (std::size_t i = shape.rank(); i-- > 0;) {
      const auto size = static_cast<std::size_t>(shape[i]);
      strides[n][i + result.rank() - shape.rank()] = size == 1 ? 0 : stride;
      stride *= size;
    }
  }
  LoopNest<N> loops;
  for (std::size_t i = 0; i < result.rank(); ++i) {
    std::array<std::size_t, N> step;
    for (std::size_t n = 0; n < N; ++n) step[n] = strides[n][i];
    loops.add(static_cast<std::size_t>(result[i]), step);
  }
  loops.finish();
  return loops;
}

}  // namespace kerf::engine
