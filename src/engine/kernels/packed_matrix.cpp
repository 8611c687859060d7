#include "engine/kernels/packed_matrix.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "kerf/error.h"

namespace kerf::engine {

void PanelLayout::pack(const float* matrix, std::size_t row_stride, std::size_t begin,
                       std::size_t end, float* to) const noexcept {
  for (std::size_t panel = begin; panel < end; ++panel) {
    const std::size_t count = columns_of(panel);
    const std::size_t width = vectors_of(panel) * lanes_;
    const float* from = matrix + first_column(panel);
    float* row = to + offset(panel);
    for (std::size_t k = 0; k < depth_; ++k, from += row_stride, row += width) {
      std::copy_n(from, count, row);
      std::fill(row + count, row + width, 0.0F);
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

Tensor packed_constant(const KernelSpec& spec, std::size_t index, const PanelLayout& layout,
                       std::size_t groups) {
  const Tensor& constant = spec.constants[index];
  if (constant.empty()) {
    throw Error(ErrorCode::kUnsupported, "a kernel that is not constant");
  }
  const std::size_t columns = layout.columns();
  const program::ConstantCache::Key key{
      fmt::format("panels {} {}x{} {}", layout.first_column(1), layout.depth(), columns, groups),
      {constant.data()}};
  return spec.cache.get(key, {&constant, 1}, [&] {
    const std::size_t floats = layout.floats();
    const std::shared_ptr<float> memory = aligned_floats(floats * groups);
    for (std::size_t group = 0; group < groups; ++group) {
      layout.pack(constant.as<float>().data() + group * columns, groups * columns, 0,
                  layout.panels(), memory.get() + group * floats);
    }
    return Tensor(DType::kFloat32, {static_cast<std::int64_t>(floats * groups)}, memory,
                  floats * groups * sizeof(float));
  });
}

}  // namespace kerf::engine
