#include "engine/kernels/packed_matrix.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/kernels/transpose_floats.h"
#include "kerf/error.h"

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

void PanelLayout::scale(const float* factors, std::size_t begin, std::size_t end,
                        float* panels) const noexcept {
  for (std::size_t panel = begin; panel < end; ++panel) {
    const std::size_t count = columns_of(panel);
    const std::size_t width = vectors_of(panel) * lanes_;
    const float* factor = factors + first_column(panel);
    float* row = panels + offset(panel);
    for (std::size_t k = 0; k < depth_; ++k, row += width) {
      for (std::size_t i = 0; i < count; ++i) row[i] *= factor[i];
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

std::shared_ptr<float> aligned_floats(std::size_t count) {
  constexpr std::size_t kHugePage = std::size_t{1} << 21;
  const std::size_t bytes = std::max<std::size_t>(count * sizeof(float), 64);
  const std::size_t alignment = bytes >= kHugePage ? kHugePage : 64;
  const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
  void* memory = std::aligned_alloc(alignment, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  if (alignment == kHugePage) madvise(memory, rounded, MADV_HUGEPAGE);
  return {static_cast<float*>(memory), [](float* p) { std::free(p); }};
}

const Tensor& scale_constant(const KernelSpec& spec) {
  const Tensor& scale = spec.constants.back();
  if (scale.empty()) throw Error(ErrorCode::kUnsupported, "a scale that is not constant");
  return scale;
}

Tensor packed_constant(const KernelSpec& spec, const PanelLayout& layout,
                       const ConstantColumns& columns) {
  const Tensor& constant = spec.constants[columns.operand];
  if (constant.empty()) {
    throw Error(ErrorCode::kUnsupported, "a kernel that is not constant");
  }
  const std::size_t groups = columns.groups;
  std::vector<Tensor> sources{constant};
  program::ConstantCache::Key key{
      fmt::format("panels of {} of {}x{}, {} from column {} of {}", layout.first_column(1),
                  layout.depth(), layout.columns(), groups, columns.first, columns.stride),
      {constant.data()}};
  if (columns.scaled) {
    sources.push_back(scale_constant(spec));
    key.sources.push_back(sources.back().data());
  }
  return spec.cache.get(key, sources, [&] {
    const std::size_t floats = layout.floats();
    const std::shared_ptr<float> memory = aligned_floats(floats * groups);
    for (std::size_t group = 0; group < groups; ++group) {
      layout.pack(constant.as<float>().data() + columns.first + group * layout.columns(),
                  columns.stride, 0, layout.panels(), memory.get() + group * floats);
      if (columns.scaled) {
        layout.scale(sources[1].as<float>().data() + group * layout.columns(), 0, layout.panels(),
                     memory.get() + group * floats);
      }
    }
    return Tensor(DType::kFloat32, {static_cast<std::int64_t>(floats * groups)}, memory,
                  floats * groups * sizeof(float));
  });
}

}  // namespace kerf::engine
