#pragma once

#include <cstddef>

#include "program/op.h"

namespace kerf::engine {

// to[i] = f(from[i]) for i < count; `from` may be `to`. Bit for bit the same wherever an element
// stands in the array.
using ActivateFunction = void (*)(const program::Activation& f, const float* from, float* to,
                                  std::size_t count);

// The one for this machine: get it when a kernel is made, call it in runs.
ActivateFunction activate_function();

}  // namespace kerf::engine
