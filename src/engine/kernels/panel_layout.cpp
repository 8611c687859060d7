#include "engine/kernels/panel_layout.h"

#include <algorithm>
#include <cstring>

#include "engine/kernels/transpose_floats.h"

namespace kerf::engine {

namespace {

// Rows of a known width are copied without a call.
template <std::size_t kWidth>
void copy_rows(const float* from, std::size_t from_stride, std::size_t rows, float* to) {
  for (std::size_t i = 0; i < rows; ++i) {
    std::memcpy(to + i * kWidth, from + i * from_stride, kWidth * sizeof(float));
  }
}

}  // namespace

void PanelLayout::pack(const float* matrix, std::size_t row_stride, std::size_t begin,
                       std::size_t end, float* to) const noexcept {
  for (std::size_t panel = begin; panel < end; ++panel) {
    const std::size_t count = columns_of(panel);
    const std::size_t width = vectors_of(panel) * lanes_;
    const float* from = matrix + first_column(panel);
    float* row = to + offset(panel);
    if (count == 32 && width == 32) {
      copy_rows<32>(from, row_stride, depth_, row);
    } else if (count == 16 && width == 16) {
      copy_rows<16>(from, row_stride, depth_, row);
    } else if (count == 8 && width == 8) {
      copy_rows<8>(from, row_stride, depth_, row);
    } else {
      for (std::size_t k = 0; k < depth_; ++k, from += row_stride, row += width) {
        std::copy_n(from, count, row);
        std::fill(row + count, row + width, 0.0F);
      }
    }
  }
}

void PanelLayout::unpack(const float* panels, std::size_t row_stride,
                         float* matrix) const noexcept {
  for (std::size_t panel = 0; panel < this->panels(); ++panel) {
    const float* row = panels + offset(panel);
    float* to = matrix + first_column(panel);
    for (std::size_t k = 0; k < depth_; ++k, row += width(panel), to += row_stride) {
      std::copy_n(row, columns_of(panel), to);
    }
  }
}

void PanelLayout::pack_transposed(const float* matrix, std::size_t row_stride, std::size_t begin,
                                  std::size_t end, float* to) const noexcept {
  for (std::size_t panel = begin; panel < end; ++panel) {
    const std::size_t count = columns_of(panel);
    const std::size_t width = vectors_of(panel) * lanes_;
    float* const rows = to + offset(panel);
    transpose_floats(matrix + first_column(panel) * row_stride, count, depth_, row_stride, rows,
                     width);
    for (std::size_t k = 0; count < width && k < depth_; ++k) {
      std::fill(rows + k * width + count, rows + (k + 1) * width, 0.0F);
    }
  }
}

}  // namespace kerf::engine
