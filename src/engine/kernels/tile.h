#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kerf/precision.h"

namespace kerf::engine {

// What a row was divided by to become unsigned bytes, and what stands for its zeros.
struct RowScale {
  float scale = 1;
  std::int32_t zero = 0;
};

// Of the columns of a panel of int8, and of rows if they are rounded.
struct Int8Scales {
  const float* columns = nullptr;
  const std::int32_t* column_sums = nullptr;
  const RowScale* rows = nullptr;
};

// The innermost product: a few rows by one panel of a packed matrix (packed_matrix.h), summed up in
// registers. Rows are given by pointers, so that the same code multiplies dense matrices and the
// input rows under a convolution's window. Panels are of floats, or of words as a MatrixForm
// (matrix_form.h) packs them; then rows are of floats or, if the tile set rounds them, of words
// too.
struct Tile {
  const float* const* rows = nullptr;  // of tap t and row m: rows[t * tap_stride + m]
  std::size_t tap_stride = 0;
  std::size_t taps = 1;
  std::size_t depth = 0;         // floats or words of each row
  const float* panel = nullptr;  // taps * depth rows of one or two vectors
  // What is read soon after: fetched into the second-level cache, a line for each row of the panel,
  // `ahead_step` floats apart. Memory that exists, but for what follows its end.
  const float* ahead = nullptr;
  std::size_t ahead_step = 0;
  float* out = nullptr;
  std::size_t out_stride = 0;
  std::size_t columns = 0;          // of the panel that exist
  const float* scale = nullptr;     // `columns` factors of the sums, or none
  const float* bias = nullptr;      // likewise, added
  const float* residual = nullptr;  // added; laid out as `out`, which it may be
  bool clamp = false;               // limit results to [low, high]
  float low = 0;
  float high = 0;
  const Int8Scales* int8 = nullptr;  // for panels of int8
};

using TileFunction = void (*)(const Tile& tile);

// Rows that are rounded for a product: each of `taps` pieces of `depth` floats, given as a Tile's
// rows are, becomes `words` words at to + row * stride, a piece after the other from a word's
// start.
struct RowRounding {
  const float* const* rows = nullptr;
  std::size_t count = 0;
  std::size_t taps = 1;
  std::size_t depth = 0;
  float* to = nullptr;
  std::size_t stride = 0;
  RowScale* scales = nullptr;  // `count` of them, for int8
};
using RowRoundingFunction = void (*)(const RowRounding& rounding);

// The tiles of one instruction set for matrices of one precision.
struct TileSet {
  static constexpr std::size_t kMaxRows = 14;
  std::size_t lanes = 0;  // floats of a vector; a panel has twice as many columns, the last one may
                          // have half of that
  std::size_t rows = 0;   // at most, of a tile
  std::array<std::array<TileFunction, kMaxRows>, 2> functions{};  // [vectors - 1][rows - 1]
  double flops_per_second = 0;                                    // about, on one core
  RowRoundingFunction round_rows = nullptr;  // null: rows are multiplied as they are
  double rounding_seconds = 0;               // about, for a number of a row
  std::string_view method;                   // for profiles; empty for float32
};

// The fastest of this machine for rows of `depth` numbers by as many columns. Get it when a kernel
// is made.
const TileSet& tile_set(Precision precision, std::size_t depth, std::size_t columns);
// The one for float32.
const TileSet& tile_set();

// What it chooses from: for matrices that are widened to floats as they are read, and for
// instructions that multiply rounded numbers and add up the products; null where the machine has
// none, or not for that depth.
const TileSet& widening_tile_set(Precision precision);
const TileSet* dot_tile_set(Precision precision, std::size_t depth);

// Whether tile_set() may give tiles of such instructions: for tests of the others. Not to be
// changed while kernels are made.
void use_dot_tiles(bool use) noexcept;

}  // namespace kerf::engine
