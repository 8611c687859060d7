#pragma once

#include <cstddef>
#include <string>

#include "engine/kernel.h"

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
  std::size_t offset(std::size_t panel) const noexcept { return panel * 2 * lanes_ * depth_; }
  std::size_t floats() const noexcept {
    return panels() == 0 ? 0 : offset(panels() - 1) + vectors_of(panels() - 1) * lanes_ * depth_;
  }
  // Packs panels [begin, end) of a row-major matrix whose rows are row_stride floats apart, or of
  // the transpose of such a matrix; `to` is where the first panel of all begins.
  void pack(const float* matrix, std::size_t row_stride, std::size_t begin, std::size_t end,
            float* to) const noexcept;
  // Multiplies the columns of panels that are packed.
  void scale(const float* factors, std::size_t begin, std::size_t end,
             float* panels) const noexcept;
  void pack_transposed(const float* matrix, std::size_t row_stride, std::size_t begin,
                       std::size_t end, float* to) const noexcept;

 private:
  std::size_t depth_ = 0;
  std::size_t columns_ = 0;
  std::size_t lanes_ = 1;
};

// `groups` matrices side by side in a constant, row-major matrix.
struct ConstantColumns {
  std::size_t operand = 1;
  std::size_t first = 0;   // column
  std::size_t stride = 0;  // columns of the whole constant
  std::size_t groups = 1;
  bool scaled = false;  // by the vector over all columns that is the last operand
};

// That operand, the last one.
const Tensor& scale_constant(const KernelSpec& spec);

// Those, packed group after group. Made once per model and shared through spec.cache.
Tensor packed_constant(const KernelSpec& spec, const PanelLayout& layout,
                       const ConstantColumns& columns);

// Room for `count` floats, aligned for vectors, and in huge pages where it is large.
std::shared_ptr<float> aligned_floats(std::size_t count);

}  // namespace kerf::engine
