#pragma once

#include <cstddef>
#include <span>
#include <string_view>

// The form in which strings stand in a Tensor and in binary messages: per element a little-endian
// uint32 length, then that many bytes, without anything between.
namespace kerf {

// Reads exactly elements.size() strings, as views of `packed`. Throws Error(kInvalidArgument), with
// the element that is wrong, where the bytes end early or are left over.
void read_packed_strings(std::span<const std::byte> packed, std::span<std::string_view> elements);

// Bytes that the packed form takes. Throws Error(kResourceExhausted) for a string whose length
// needs more than 32 bits.
std::size_t packed_size(std::span<const std::string_view> elements);

// Writes packed_size() bytes at `out`, and returns their end.
std::byte* write_packed_strings(std::span<const std::string_view> elements, std::byte* out);

}  // namespace kerf
