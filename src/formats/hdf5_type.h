#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "formats/hdf5_cursor.h"
#include "kerf/tensor.h"

namespace kerf::formats::hdf5 {

// What an element is, as far as files of Keras use it.
struct Type {
  enum class Kind { kNumber, kFixedText, kVariableText, kOther };
  Kind kind = Kind::kOther;
  std::uint32_t size = 0;  // bytes of an element
  DType dtype = DType::kFloat32;
  bool big_endian = false;
};
// A shape, and how far each dimension may grow (kUndefined: without limit).
struct Space {
  std::vector<std::uint64_t> dims;
  std::vector<std::uint64_t> most;
};
// Throw Damaged. (Format specification, IV.A.2.d and IV.A.2.b.)
Type parse_type(std::span<const std::byte> message);
Space parse_space(std::span<const std::byte> message);

// The product of dimensions; nullopt where it does not fit 48 bits, which no file can hold.
std::optional<std::uint64_t> count_of(std::span<const std::uint64_t> dims);

}  // namespace kerf::formats::hdf5
