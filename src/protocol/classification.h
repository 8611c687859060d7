#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kerf/model.h"

namespace kerf::protocol {

// What the parameter `classification` makes of an output: of each sample (of the whole tensor where
// it has rank 1 or 0) the `most` largest elements, largest first, each as the string "value:index",
// where floats are printed with six decimals. Appends the strings, and returns their shape, (batch,
// n) or (n). Throws Error(kInvalidArgument) for a tensor that is not of numbers.
Shape classify(const TensorInfo& tensor, const std::byte* data, std::uint64_t most,
               std::vector<std::string>& strings);

}  // namespace kerf::protocol
