#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "kerf/tensor.h"
#include "protocol/buffer.h"

namespace kerf::protocol {

// The elements of tensors in messages: JSON arrays and the binary extension's bytes, to and from
// dense memory. All read functions throw Error(kInvalidArgument) saying which element is wrong.

// Throws unless a client may declare `declared` for a tensor of dtype `wanted`: the same type, any
// integer type for an integer tensor (each value is checked to fit), any floating type for a
// floating tensor (values are rounded).
void check_datatype(DType declared, DType wanted);

// Reads a JSON array, flat or nested exactly as `shape`, into `out`, which has room for
// shape.element_count() elements of `wanted`. `array` is text from '[' to ']' in which brackets are
// balanced, followed by at least 32 readable bytes.
void read_json_data(std::string_view array, DType declared, DType wanted, const Shape& shape,
                    std::byte* out);

// Converts `count` elements of `declared` (little-endian, any alignment) to `wanted`.
void read_binary_data(const std::byte* data, DType declared, DType wanted, std::size_t count,
                      std::byte* out);

// Appends a flat JSON array of elements of `dtype`. Throws for FP16 and BF16, which JSON does not
// carry.
void append_json_data(Buffer& out, DType dtype, const std::byte* data, std::size_t count);

}  // namespace kerf::protocol
