#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "kerf/model.h"

namespace kerf::cli {

// Shapes for all that a cut is fed: those given as NAME=D0,D1,..., and where only the batch is
// open, `batch`. Throws Error(kInvalidArgument) for dimensions that stay open and names that are
// not fed.
std::vector<Shape> sample_shapes(const Cut& cut, const std::vector<std::string>& given,
                                 std::int64_t batch);

// Values for a tensor: floats in [-1, 1), a sentence for strings, zeros for everything else.
Tensor made_up(const TensorInfo& info, std::mt19937& random);

}  // namespace kerf::cli
