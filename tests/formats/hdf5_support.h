#pragma once

#include <hdf5.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

// HDF5 files made by the HDF5 library itself, in every way it has: what the readers are tested on.
namespace kerf::test {

enum class Hdf5Age { kEarliest, kLatest };  // which form of its structures the library prefers

std::string made_by_library(const std::function<void(hid_t file)>& make,
                            Hdf5Age age = Hdf5Age::kEarliest);
void make_groups(hid_t file, std::initializer_list<std::string> paths);
void text_attribute(hid_t file, const std::string& object, const char* name,
                    const std::string& text);
void number_attribute(hid_t file, const std::string& object, const char* name);
// An array of strings, of fixed or variable length.
void text_array(hid_t file, const std::string& object, const char* name,
                const std::vector<std::string>& values, bool variable = false);
// Float32 values as a dataset of the type and with the options given.
void float_dataset(hid_t file, const std::string& path, const std::vector<hsize_t>& dims,
                   const std::vector<float>& values, hid_t type = H5T_IEEE_F32LE,
                   const std::function<void(hid_t creation)>& options = {});

}  // namespace kerf::test
