#pragma once

#include <cstddef>

#include "kerf/tensor.h"

namespace kerf {

// Converts `count` elements, which need not be aligned, as Keras' cast does: floats are truncated
// to integers (what does not fit saturates, NaN becomes 0), and rounded to nearest even where a
// float type is narrower; bool is "not zero". Throws Error(kInvalidArgument) for strings.
void convert(DType from, const void* source, DType to, void* target, std::size_t count);

}  // namespace kerf
