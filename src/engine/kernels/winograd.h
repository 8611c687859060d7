#pragma once

#include "engine/kernel.h"

namespace kerf::engine {

// A convolution with a window of 3x3 and stride 1 by Winograd's algorithm, which multiplies 2.25 or
// 4 times less for weights of 1.8 or 4 times the size; nullptr where the plain product is about as
// fast or faster. The choice depends on the sizes of a sample alone, not on the batch or the
// machine's load, so that a layer computes the same way in every cut and every run.
KernelPtr make_winograd(const program::Conv& op, const KernelSpec& spec);

}  // namespace kerf::engine
