#pragma once

#include <cstddef>
#include <string_view>

#include "kerf/tensor.h"

namespace kerf::protocol {

// Reads the typed contents of a gRPC tensor, a serialized InferTensorContents, which must have
// exactly `count` elements, all in the list of the datatype `declared`, as elements of `wanted`.
// Strings are views of `message`. Throws Error(kInvalidArgument).
void read_contents(std::string_view message, DType declared, DType wanted, std::size_t count,
                   std::byte* out);

}  // namespace kerf::protocol
