#pragma once

#include <span>
#include <vector>

#include "kerf/tensor.h"
#include "program/op.h"
#include "program/program.h"

// The ops as op.h defines them, in plain loops over doubles: what kernels and passes are tested
// against. Shares no code with the engine but the inference of shapes.
namespace kerf::reference {

// The results of one op; float results are rounded once, at its end.
std::vector<Tensor> evaluate(const program::Op& op, std::span<const Tensor> operands);

// The fetches of a program, in its order.
std::vector<Tensor> evaluate(const program::Program& program, std::span<const Tensor> feeds);

// One function of one number.
double apply(const program::Activation& activation, double x);

}  // namespace kerf::reference
