#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kerf/tensor.h"

// NumPy's files: `.npy` holds one array, `.npz` is a zip of them. Any thread may call. Nothing in a
// file is executed: arrays of Python objects (pickled) are refused, as are complex numbers, dates
// and records. Arrays of text ('S' and 'U') are kString tensors, 'U' as UTF-8; a two-byte void
// ('V2') is a bfloat16, which is how the ml_dtypes package stores them.
namespace kerf {

// The array of a `.npy` file of version 1 to 3, either byte order, C or Fortran order. `where`
// names the file in errors. Throws Error(kInvalidFile) for damaged ones, Error(kUnsupported) for
// dtypes that no Tensor has.
Tensor parse_npy(std::span<const std::byte> bytes, const std::string& where);
// Version 1, little-endian, C order; readable by every NumPy. Strings are
// written as bytes ('S'), padded to the longest.
std::vector<std::byte> format_npy(const Tensor& tensor);

// These also throw Error(kNotFound) for a file that cannot be opened, and Error(kUnavailable) for
// one that cannot be written.
Tensor read_npy(const std::filesystem::path& file);
void write_npy(const std::filesystem::path& file, const Tensor& tensor);

// The arrays of a `.npz` in the order of the file, by name without ".npy".
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
NamedTensors read_npz(const std::filesystem::path& file);
// Uncompressed, as numpy.savez does. An existing file is replaced at once, or stays as it was.
// Throws Error(kInvalidArgument) where two names are equal.
void write_npz(const std::filesystem::path& file,
               std::span<const std::pair<std::string, Tensor>> arrays);

}  // namespace kerf
