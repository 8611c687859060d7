#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kerf/tensor.h"

namespace kerf::formats {

// Builds an HDF5 file in memory, as h5py writes one for Keras. One thread at a time; the
// library is not thread-safe as Debian builds it, so all writers of a process share a lock. Throws
// Error(kInternal) where the library fails.
class Hdf5Writer {
 public:
  Hdf5Writer();
  ~Hdf5Writer();
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  // Makes the group and those above it; a `name` that is not empty becomes its attribute "name".
  void group(const std::string& path, const std::string& name = {});
  // A dataset in the tensor's own type. The group must exist.
  void dataset(const std::string& path, const Tensor& tensor);
  // The file's bytes; ends the use of this writer.
  std::vector<std::byte> finish();

 private:
  std::int64_t file_ = -1;
};

}  // namespace kerf::formats
