#include "engine/kernels/matrix_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace kerf::engine {
namespace {

constexpr float kLargestInt8 = 127;

// To the nearest, ties to even.
std::uint16_t to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

// By which each of `columns` columns of a matrix is divided to become int8. NaN where one is not
// finite: so are all of its products then.
std::vector<float> int8_scales(const float* matrix, std::size_t row_stride, std::size_t rows,
                               std::size_t columns) {
  std::vector<float> scales(columns);
  for (std::size_t k = 0; k < rows; ++k) {
    for (std::size_t i = 0; i < columns; ++i) {
      const float size = std::fabs(matrix[k * row_stride + i]);
      if (!(size <= scales[i])) scales[i] = size;
      if (std::isnan(size)) scales[i] = std::numeric_limits<float>::infinity();
    }
  }
  for (std::size_t i = 0; i < columns; ++i) {
    scales[i] = std::isfinite(scales[i]) ? scales[i] / kLargestInt8
                                         : std::numeric_limits<float>::quiet_NaN();
  }
  return scales;
}

}  // namespace

MatrixForm::MatrixForm(Precision precision, std::size_t taps, std::size_t depth,
                       std::size_t columns, std::size_t lanes)
    : precision_(precision), taps_(taps), depth_(depth) {
  if (precision == Precision::kFloat32) {  // pieces make no difference then
    depth_ *= taps;
    taps_ = 1;
  }
  panels_ = PanelLayout(taps_ * tap_words(), columns, lanes);
}

std::string MatrixForm::describe() const {
  return fmt::format("{} panels of {} for {} pieces of {}x{}", precision_name(precision_),
                     panels_.first_column(1), taps_, depth_, panels_.columns());
}

std::size_t MatrixForm::place(std::size_t panel, std::size_t row) const noexcept {
  const std::size_t k = row % depth_;
  const std::size_t word = row / depth_ * tap_words() + k / per_word();
  return (panels_.offset(panel) + word * panels_.width(panel)) * sizeof(float) +
         k % per_word() * (sizeof(float) / per_word());
}

void MatrixForm::pack(const float* matrix, std::size_t row_stride, float* to) const noexcept {
  if (precision_ == Precision::kFloat32) {
    panels_.pack(matrix, row_stride, 0, panels_.panels(), to);
    return;
  }
  const bool int8 = precision_ == Precision::kInt8;
  const std::size_t columns = panels_.columns();
  std::vector<float> scales;
  std::vector<std::int32_t> sums(columns);
  if (int8) scales = int8_scales(matrix, row_stride, taps_ * depth_, columns);
  std::memset(to, 0, words() * sizeof(float));
  auto* const bytes = reinterpret_cast<std::byte*>(to);
  for (std::size_t panel = 0; panel < panels_.panels(); ++panel) {
    const std::size_t first = panels_.first_column(panel);
    for (std::size_t row = 0; row < taps_ * depth_; ++row) {
      std::byte* at = bytes + place(panel, row);
      const float* from = matrix + row * row_stride + first;
      for (std::size_t i = 0; i < panels_.columns_of(panel); ++i, at += sizeof(float)) {
        const float value = from[i];
        if (!int8) {
          const std::uint16_t rounded = to_bfloat16(value);
          std::memcpy(at, &rounded, sizeof(rounded));
        } else if (scales[first + i] > 0) {
          const float limited = std::clamp(value / scales[first + i], -kLargestInt8, kLargestInt8);
          const auto rounded = static_cast<std::int8_t>(std::nearbyint(limited));
          std::memcpy(at, &rounded, sizeof(rounded));
          sums[first + i] += rounded;
        }
      }
    }
  }
  if (!int8) return;
  std::copy(scales.begin(), scales.end(), to + panels_.floats());
  std::memcpy(to + panels_.floats() + scale_count(), sums.data(), columns * sizeof(std::int32_t));
}

void MatrixForm::unpack(const float* packed, std::size_t row_stride, float* matrix) const noexcept {
  if (precision_ == Precision::kFloat32) return panels_.unpack(packed, row_stride, matrix);
  const auto* const bytes = reinterpret_cast<const std::byte*>(packed);
  for (std::size_t panel = 0; panel < panels_.panels(); ++panel) {
    const std::size_t first = panels_.first_column(panel);
    for (std::size_t row = 0; row < taps_ * depth_; ++row) {
      const std::byte* at = bytes + place(panel, row);
      float* to = matrix + row * row_stride + first;
      for (std::size_t i = 0; i < panels_.columns_of(panel); ++i, at += sizeof(float)) {
        if (precision_ == Precision::kInt8) {
          to[i] = scales(packed)[first + i] * static_cast<float>(std::to_integer<std::int8_t>(*at));
        } else {
          std::uint16_t half = 0;
          std::memcpy(&half, at, sizeof(half));
          to[i] = std::bit_cast<float>(std::uint32_t{half} << 16);
        }
      }
    }
  }
}

}  // namespace kerf::engine
