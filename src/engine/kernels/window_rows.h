#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/kernel.h"
#include "program/op.h"

namespace kerf::engine {

// The cells of a window over 1 to 3 spatial axes, as three axes: those that do not exist come
// first, with one cell.
struct WindowGeometry {
  WindowGeometry() = default;
  WindowGeometry(const program::Window& window, const Shape& x, const Shape& y);

  std::size_t batch = 0;
  std::array<std::size_t, 3> size{1, 1, 1};
  std::array<std::size_t, 3> output{1, 1, 1};
  std::array<std::size_t, 3> kernel{1, 1, 1};
  std::array<std::int64_t, 3> stride{1, 1, 1};
  std::array<std::int64_t, 3> dilation{1, 1, 1};
  std::array<std::int64_t, 3> before{0, 0, 0};

  std::size_t outputs() const noexcept { return batch * output[0] * output[1] * output[2]; }
  // The input cell on `axis` under tap `tap` of output `o`, or -1 if it is padding.
  std::int64_t cell(std::size_t axis, std::size_t o, std::size_t tap) const noexcept;
};

// A convolution's input as rows of a product (product.h): for each output, pointers to the input
// under the window, without a copy of it. Channels lie side by side, and so do the cells of the
// innermost axis: where it is not dilated and there is one group, one piece spans the window's
// whole width. The few pieces that reach over the edge of an input row, into padding, are put
// together in scratch memory before. Immutable.
class WindowRows {
 public:
  WindowRows() = default;
  // `channels` of the input, of which a group takes `depth`.
  WindowRows(const WindowGeometry& geometry, std::size_t channels, std::size_t depth);

  // A row of the product is taps() pieces of piece() floats, in the order of the kernel's taps.
  std::size_t taps() const noexcept {
    return geometry_->kernel[0] * geometry_->kernel[1] * inner_taps_;
  }
  std::size_t piece() const noexcept { return piece_; }
  // Bytes of input for each row of the product: rows overlap where windows do.
  std::size_t row_bytes() const noexcept;
  std::size_t edge_floats() const noexcept {
    return geometry_->batch * input_rows_ * edges_.size() * piece_;
  }
  // Fills `edges`, edge_floats() of them.
  void prepare(const float* x, float* edges, ThreadPool* pool) const noexcept;

  // What Product::run() calls.
  struct Source {
    const WindowRows& rows;
    const float* x;  // at the group's first channel
    const float* edges;
    void operator()(std::size_t first, std::size_t count, const float** to) const noexcept;
  };

 private:
  const WindowGeometry& geometry() const noexcept { return *geometry_; }
  // Pointers for `run` outputs of one line along the innermost axis.
  void line_pointers(const Source& source, std::size_t line, std::size_t begin, std::size_t run,
                     const float** to, std::size_t tap_stride) const noexcept;

  std::optional<WindowGeometry> geometry_;
  std::size_t channels_ = 0;
  std::size_t piece_ = 0;
  std::size_t inner_taps_ = 1;  // of the innermost axis
  std::size_t input_rows_ = 0;  // of one sample
  // Input cell of output o and tap t at [o * kernel + t] for the two outer axes, -1 for padding.
  std::array<std::vector<std::int64_t>, 2> cells_;
  // The same for the innermost axis at [t * outputs + o], as an offset in floats; where pieces span
  // the window, it is that of the piece, and -1 - e stands for edge e.
  std::vector<std::int64_t> inner_;
  std::vector<std::size_t>
      edges_;                 // outputs on the innermost axis whose piece reaches over an edge
  std::vector<float> zeros_;  // a piece of padding
};

}  // namespace kerf::engine
