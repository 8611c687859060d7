#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/kernels/panel_layout.h"
#include "kerf/precision.h"

namespace kerf::engine {

// How a constant matrix is kept for a product whose rows are `taps` pieces of `depth` numbers
// (product.h): in panels of words of four bytes. A word is a float, or two bfloat16 or four int8 of
// one column, the first of them in the lowest bits; each piece begins a new word, and what a word
// lacks is zero. Behind the panels of int8 stand, for each column of a panel, the scale that its
// numbers are to be multiplied by, and after all of these the columns' sums. Immutable.
class MatrixForm {
 public:
  MatrixForm() = default;
  MatrixForm(Precision precision, std::size_t taps, std::size_t depth, std::size_t columns,
             std::size_t lanes);

  Precision precision() const noexcept { return precision_; }
  // Of words.
  const PanelLayout& panels() const noexcept { return panels_; }
  std::size_t taps() const noexcept { return taps_; }
  std::size_t tap_words() const noexcept { return (depth_ + per_word() - 1) / per_word(); }
  std::size_t words() const noexcept { return panels_.floats() + 2 * scale_count(); }

  const float* scales(const float* packed) const noexcept { return packed + panels_.floats(); }
  const std::int32_t* sums(const float* packed) const noexcept {
    return reinterpret_cast<const std::int32_t*>(scales(packed) + scale_count());
  }

  // All of this, for keys.
  std::string describe() const;

  // Packs a row-major matrix whose rows are row_stride floats apart into words() words.
  void pack(const float* matrix, std::size_t row_stride, float* to) const noexcept;
  // The opposite: the matrix as it was rounded.
  void unpack(const float* packed, std::size_t row_stride, float* matrix) const noexcept;

 private:
  // Bytes from the first of all to the number of row `row` in the first column of a panel.
  std::size_t place(std::size_t panel, std::size_t row) const noexcept;
  std::size_t per_word() const noexcept {
    return precision_ == Precision::kInt8 ? 4 : precision_ == Precision::kBfloat16 ? 2 : 1;
  }
  std::size_t scale_count() const noexcept {
    return precision_ == Precision::kInt8 ? panels_.first_column(panels_.panels()) : 0;
  }

  Precision precision_ = Precision::kFloat32;
  std::size_t taps_ = 1;
  std::size_t depth_ = 0;
  PanelLayout panels_;
};

}  // namespace kerf::engine
