#pragma once

#include <array>
#include <cstddef>

namespace kerf::engine {

// The innermost product: a few rows by one panel of a packed matrix (packed_matrix.h), summed up in
// registers. Rows are given by pointers, so that the same code multiplies dense matrices and the
// input rows under a convolution's window.
struct Tile {
  const float* const* rows = nullptr;  // of tap t and row m: rows[t * tap_stride + m]
  std::size_t tap_stride = 0;
  std::size_t taps = 1;
  std::size_t depth = 0;         // floats of each row
  const float* panel = nullptr;  // taps * depth rows of one or two vectors
  // What is read soon after: fetched into the second-level cache, a line for each row of the panel,
  // `ahead_step` floats apart. Memory that exists, but for what follows its end.
  const float* ahead = nullptr;
  std::size_t ahead_step = 0;
  float* out = nullptr;
  std::size_t out_stride = 0;
  std::size_t columns = 0;          // of the panel that exist
  const float* bias = nullptr;      // `columns` of them, or none
  const float* residual = nullptr;  // added; laid out as `out`, which it may be
  bool clamp = false;               // limit results to [low, high]
  float low = 0;
  float high = 0;
};

using TileFunction = void (*)(const Tile& tile);
// The tiles of one instruction set.
struct TileSet {
  static constexpr std::size_t kMaxRows = 14;
  std::size_t lanes = 0;  // floats of a vector; a panel has twice as many columns, the last one may
                          // have half of that
  std::size_t rows = 0;   // at most, of a tile
  std::array<std::array<TileFunction, kMaxRows>, 2> functions{};  // [vectors - 1][rows - 1]
  double flops_per_second = 0;                                    // about, on one core
};

// That of this machine. Get it when a kernel is made.
const TileSet& tile_set();

}  // namespace kerf::engine
