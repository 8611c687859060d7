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

Tensor packed_constant(const KernelSpec& spec, const MatrixForm& form,
                       const ConstantColumns& columns) {
  const Tensor& constant = spec.constants[columns.operand];
  if (constant.empty()) {
    throw Error(ErrorCode::kUnsupported, "a kernel that is not constant");
  }
  const std::size_t groups = columns.groups;
  const std::size_t width = form.panels().columns();
  std::vector<Tensor> sources{constant};
  program::ConstantCache::Key key{fmt::format("{} of {} from column {} of {}", form.describe(),
                                              groups, columns.first, columns.stride),
                                  {constant.data()}};
  if (columns.scaled) {
    sources.push_back(scale_constant(spec));
    key.sources.push_back(sources.back().data());
  }
  return spec.cache.get(key, sources, [&] {
    const float* factors = columns.scaled ? sources[1].as<float>().data() : nullptr;
    const std::size_t words = form.words();
    const std::shared_ptr<float> memory = aligned_floats(words * groups);
    for (std::size_t group = 0; group < groups; ++group) {
      form.pack(constant.as<float>().data() + columns.first + group * width, columns.stride,
                factors != nullptr ? factors + group * width : nullptr,
                memory.get() + group * words);
    }
    return Tensor(DType::kFloat32, {static_cast<std::int64_t>(words * groups)}, memory,
                  words * groups * sizeof(float));
  });
}

}  // namespace kerf::engine
