#pragma once

#include <cstddef>
#include <string>

#include "engine/kernel.h"
#include "engine/kernels/matrix_form.h"

namespace kerf::engine {

// `groups` matrices side by side in a constant, row-major matrix.
struct ConstantColumns {
  std::size_t operand = 1;
  std::size_t first = 0;   // column
  std::size_t stride = 0;  // columns of the whole constant
  std::size_t groups = 1;
};

// Those, packed group after group. Made once per model and shared through spec.cache. Where they
// are the whole constant, and exact or not to be kept so, they are the form in which it is held
// from now on.
Tensor packed_constant(const KernelSpec& spec, const MatrixForm& form,
                       const ConstantColumns& columns);

// Room for `count` floats, aligned for vectors, and in huge pages where it is large.
std::shared_ptr<float> aligned_floats(std::size_t count);

}  // namespace kerf::engine
