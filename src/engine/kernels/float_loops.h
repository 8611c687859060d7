#pragma once

#include <cstddef>

#include "program/op.h"

namespace kerf::engine {

// Loops over dense floats on this machine's vectors. y may be any of the operands; bit for bit the
// same wherever an element stands in the array.
struct FloatLoops {
  void (*activate)(const program::Activation& f, const float* x, float* y, std::size_t count);
  // y = a op b, for the kinds that give a float; with *_scalar, b or a is one number.
  void (*binary)(program::Binary::Kind kind, const float* a, const float* b, float* y,
                 std::size_t count);
  void (*binary_scalar)(program::Binary::Kind kind, const float* a, float b, float* y,
                        std::size_t count);
  void (*scalar_binary)(program::Binary::Kind kind, float a, const float* b, float* y,
                        std::size_t count);
  // y = x * scale + shift.
  void (*affine)(const float* x, const float* scale, const float* shift, float* y,
                 std::size_t count);
};

// Those for this machine: get them when a kernel is made, call them in runs.
FloatLoops float_loops();

}  // namespace kerf::engine
