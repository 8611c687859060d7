#pragma once

#include <span>

#include "program/program.h"

namespace kerf::program {

// Whether row i of every fetch depends on row i of the feeds alone, rows being what lies along
// their first axis: so that requests may be put together along it and their results taken apart.
// Proved from the ops and the shapes they infer; false where it cannot be. `feeds` are concrete
// shapes of one sample or more, in the program's order; what they say of the first axis does not
// matter. A value may hold several first-axis entries of each row (a reshape that merges the batch
// with the steps), as long as they stand together.
bool rows_are_independent(const Program& program, std::span<const Shape> feeds);

}  // namespace kerf::program
