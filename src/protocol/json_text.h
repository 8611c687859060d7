#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/buffer.h"

namespace kerf::protocol {

// Writing JSON, value by value, behind what a buffer holds.

// With its quotes, escaped as JSON needs; bytes that are not UTF-8 become U+FFFD.
void append_string(Buffer& out, std::string_view text);
void append_integer(Buffer& out, std::int64_t value);
void append_integer(Buffer& out, std::uint64_t value);

// The shortest decimal that reads back as the same number, always with a point or an exponent, so
// that readers see a floating-point number: "0.1", "3.0", "1.5e-07". What JSON has no number for is
// written as the tokens NaN, Infinity and -Infinity, as Triton and Python's json module do.
void append_float(Buffer& out, float value);
void append_float(Buffer& out, double value);

// The same into memory with room for kFloatChars characters; returns the end.
inline constexpr std::size_t kFloatChars = 32;
char* write_float(char* out, float value) noexcept;
char* write_float(char* out, double value) noexcept;

}  // namespace kerf::protocol
