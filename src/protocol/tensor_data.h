#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "kerf/tensor.h"
#include "protocol/buffer.h"

namespace kerf::protocol {

// The elements of tensors in messages: JSON arrays and the binary extension's bytes, to and from
// dense memory. All read functions throw Error(kInvalidArgument) saying which element is wrong.

// A string (BYTES) of a tensor in memory is a std::string_view of characters that lie elsewhere: in
// the message they were read from, or where tensor_data.h says. Any bytes may be sent as binary
// data; JSON carries UTF-8 alone.

// Throws unless a client may declare `declared` for a tensor of dtype `wanted`: the same type, any
// integer type for an integer tensor (each value is checked to fit), any floating type for a
// floating tensor (values are rounded).
void check_datatype(DType declared, DType wanted);

// Reads a JSON array, flat or nested exactly as `shape`, into `out`, which has room for
// shape.element_count() elements of `wanted`. `array` is text from '[' to ']' of valid JSON,
// followed by at least 32 readable bytes. Strings are views of it; those with escapes are views of
// `unescaped`, to which they are appended. It must not move while they are used, so reserve
// array.size() bytes in it for every array of strings before the first is read.
void read_json_data(std::string_view array, DType declared, DType wanted, const Shape& shape,
                    std::byte* out, Buffer& unescaped);

// Reads `count` elements of `declared` (little-endian, any alignment), which must be what `data`
// holds and nothing more, as `wanted`. Strings are views of `data`.
void read_binary_data(std::span<const std::byte> data, DType declared, DType wanted,
                      std::size_t count, std::byte* out);

// Bytes that the elements take as binary data.
std::size_t binary_size(DType dtype, const std::byte* data, std::size_t count);
// Appends them.
void append_binary_data(Buffer& out, DType dtype, const std::byte* data, std::size_t count);

// Appends a flat JSON array of elements of `dtype`. Throws for what JSON does not carry: FP16, BF16
// and strings that are not UTF-8.
void append_json_data(Buffer& out, DType dtype, const std::byte* data, std::size_t count);

}  // namespace kerf::protocol
