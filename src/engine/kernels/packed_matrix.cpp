#include "engine/kernels/packed_matrix.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

#include "kerf/error.h"

namespace kerf::engine {

std::shared_ptr<float> aligned_floats(std::size_t count) {
  constexpr std::size_t kHugePage = std::size_t{1} << 21;
  const std::size_t bytes = std::max<std::size_t>((count * sizeof(float) + 63) / 64 * 64, 64);
  const bool huge = bytes >= kHugePage;
  void* memory = nullptr;
  if (posix_memalign(&memory, huge ? kHugePage : 64, bytes) != 0) throw std::bad_alloc();
  // Not for the rest: most of its huge page would hold nothing.
  if (huge) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
  return {static_cast<float*>(memory), [](float* p) { std::free(p); }};
}

Tensor packed_constant(const KernelSpec& spec, const MatrixForm& form,
                       const ConstantColumns& columns) {
  const Constant& constant = spec.constants[columns.operand];
  if (constant.empty()) {
    throw Error(ErrorCode::kUnsupported, "a kernel that is not constant");
  }
  const std::size_t groups = columns.groups;
  const std::size_t width = form.panels().columns();
  const std::size_t words = form.words();
  const program::ConstantCache::Key key{
      fmt::format("{} of {} from column {} of {}", form.describe(), groups, columns.first,
                  columns.stride),
      {constant.identity()}};
  const auto pack = [&] {
    const Tensor elements = constant.elements();
    const std::shared_ptr<float> memory = aligned_floats(words * groups);
    for (std::size_t group = 0; group < groups; ++group) {
      form.pack(elements.as<float>().data() + columns.first + group * width, columns.stride,
                memory.get() + group * words);
    }
    return Tensor(DType::kFloat32, {static_cast<std::int64_t>(words * groups)}, memory,
                  words * groups * sizeof(float));
  };
  Tensor packed = spec.cache.get(key, {&constant, 1}, pack).elements();
  const bool exact = form.precision() == Precision::kFloat32;
  if ((!exact && spec.keep_exact) || groups * width != columns.stride) return packed;
  constant.hold_packed(packed, [shape = constant.shape(), form, groups,
                                stride = columns.stride](const Tensor& from) {
    const auto count = static_cast<std::size_t>(shape.element_count());
    const std::shared_ptr<float> memory = aligned_floats(count);
    for (std::size_t group = 0; group < groups; ++group) {
      form.unpack(from.as<float>().data() + group * form.words(), stride,
                  memory.get() + group * form.panels().columns());
    }
    return Tensor(DType::kFloat32, shape, memory, count * sizeof(float));
  });
  return packed;
}

}  // namespace kerf::engine
