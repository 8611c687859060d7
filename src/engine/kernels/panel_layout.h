#pragma once

#include <cstddef>

namespace kerf::engine {

// How a matrix (depth, columns) lies in memory for tiles: in panels of 2 * lanes columns, each the
// depth rows of its columns one after another. The last panel has only `lanes` columns if that
// is enough; columns that do not exist are zero.
class PanelLayout {
 public:
  PanelLayout() = default;
  PanelLayout(std::size_t depth, std::size_t columns, std::size_t lanes)
      : depth_(depth), columns_(columns), lanes_(lanes) {}

  std::size_t depth() const noexcept { return depth_; }
  std::size_t columns() const noexcept { return columns_; }
  std::size_t panels() const noexcept { return (columns_ + 2 * lanes_ - 1) / (2 * lanes_); }
  std::size_t first_column(std::size_t panel) const noexcept { return panel * 2 * lanes_; }
  // Columns of the panel that exist, and vectors that hold them: 1 or 2.
  std::size_t columns_of(std::size_t panel) const noexcept {
    const std::size_t rest = columns_ - first_column(panel);
    return rest < 2 * lanes_ ? rest : 2 * lanes_;
  }
  std::size_t vectors_of(std::size_t panel) const noexcept {
    return columns_of(panel) <= lanes_ ? 1 : 2;
  }
  // The same in floats: of a row of the panel.
  std::size_t width(std::size_t panel) const noexcept { return vectors_of(panel) * lanes_; }
  std::size_t offset(std::size_t panel) const noexcept { return panel * 2 * lanes_ * depth_; }
  std::size_t floats() const noexcept {
    return panels() == 0 ? 0 : offset(panels() - 1) + vectors_of(panels() - 1) * lanes_ * depth_;
  }
  // Packs panels [begin, end) of a row-major matrix whose rows are row_stride floats apart, or of
  // the transpose of such a matrix; `to` is where the first panel of all begins.
  void pack(const float* matrix, std::size_t row_stride, std::size_t begin, std::size_t end,
            float* to) const noexcept;
  // The row-major matrix that panels are packed from.
  void unpack(const float* panels, std::size_t row_stride, float* matrix) const noexcept;
  void pack_transposed(const float* matrix, std::size_t row_stride, std::size_t begin,
                       std::size_t end, float* to) const noexcept;

 private:
  std::size_t depth_ = 0;
  std::size_t columns_ = 0;
  std::size_t lanes_ = 1;
};

}  // namespace kerf::engine
