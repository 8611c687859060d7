#pragma once

#include <cstddef>

#include "program/op.h"

namespace kerf::engine {

// to[i] = f(from[i]) for i < count; `from` may be `to`. Bit for bit the same wherever an element
// stands in the array.
using ActivateFunction = void (*)(const program::Activation& f, const float* from, float* to,
                                  std::size_t count);
// f on every element of a block of rows that are `stride` floats apart.
using ActivateBlockFunction = void (*)(const program::Activation& f, float* block, std::size_t rows,
                                       std::size_t columns, std::size_t stride);

// Those for this machine: get them when a kernel is made, call them in runs.
ActivateFunction activate_function();
ActivateBlockFunction activate_block_function();

}  // namespace kerf::engine
