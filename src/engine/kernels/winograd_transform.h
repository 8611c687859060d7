#pragma once

#include <cstddef>

namespace kerf::engine {

// The transforms of Winograd's convolution, F(m x m, 3 x 3) with m = 2 or 4: a patch of (m + 2)^2
// input cells becomes as many positions, each position's channels are multiplied by a matrix of its
// own, and the sums of all positions become m^2 outputs. Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", 2015. Any number of threads may call.

// One patch. Cells that do not exist are padding, zero.
struct WinogradInput {
  const float* x = nullptr;   // the first cell that exists
  std::size_t row = 0;        // floats to the next row of cells
  std::size_t cell = 0;       // floats to the next cell of a row
  std::size_t row_begin = 0;  // rows of the patch that exist: [row_begin, row_end)
  std::size_t row_end = 0;
  std::size_t cell_begin = 0;  // likewise in a row
  std::size_t cell_end = 0;
  std::size_t channels = 0;
  float* to = nullptr;       // the first position's channels
  std::size_t position = 0;  // floats to the next position's
};

// Outputs of one patch, for some channels: y = clamp(outputs * scale + bias + residual).
struct WinogradOutput {
  const float* sums = nullptr;  // of the first position, in whole vectors
  std::size_t position = 0;     // floats to the next position's
  std::size_t channels = 0;
  float* y = nullptr;
  std::size_t row = 0;    // floats to the next row of y
  std::size_t cell = 0;   // floats to the next cell of a row
  std::size_t rows = 0;   // of the m that exist
  std::size_t cells = 0;  // of the m in a row that exist
  const float* scale = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;  // laid out as y, which it may be
  bool clamp = false;
  float low = 0;
  float high = 0;
};

// The weights of a panel of a packed matrix (packed_matrix.h): `vectors` vectors of each of the
// window's 9 cells in, as many of each position out.
struct WinogradWeights {
  const float* from = nullptr;
  std::size_t vectors = 0;
  float* to = nullptr;
  std::size_t position = 0;  // floats to the next position's
};

struct WinogradFunctions {
  void (*weights)(const WinogradWeights& weights) = nullptr;
  void (*input)(const WinogradInput& input) = nullptr;
  void (*output)(const WinogradOutput& output) = nullptr;
};
// Those for outputs of `m` x `m` on this machine. Get them when a kernel is made.
const WinogradFunctions& winograd_functions(std::size_t m);

}  // namespace kerf::engine
