#pragma once

#include <optional>

#include "layers/python/instructions.h"
#include "layers/python/value.h"

namespace kerf::layers::python {

// a op b of Python's numbers, as Python computes it; nothing if one of them is no number, or Python
// itself would fail, or the result is an integer that 64 bits do not hold.
std::optional<Value> folded_binary(BinaryOperator op, const Value& a, const Value& b);

// Of two numbers, or for equality of two texts or lists of such; else nothing.
std::optional<bool> folded_comparison(Comparison comparison, const Value& a, const Value& b);

// A number or truth value as a number.
std::optional<double> number_of(const Value& value);

}  // namespace kerf::layers::python
