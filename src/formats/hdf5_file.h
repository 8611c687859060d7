#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/file_buffer.h"
#include "kerf/tensor.h"

namespace kerf::formats {

// An HDF5 file in memory, read through the HDF5 library. The library is not thread-safe as Debian
// builds it, so every call holds one lock of the process. Only plain groups and datasets are
// followed: soft and external links, external storage, virtual datasets and filter plugins are
// refused. Errors name the file and the object.
class Hdf5File {
 public:
  // Throws Error(kInvalidFile).
  Hdf5File(std::shared_ptr<FileBuffer> buffer, std::string where);
  ~Hdf5File();
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;

  // Whether a group or dataset stands at "/a/b".
  bool has(const std::string& path) const;
  std::vector<std::string> children(const std::string& group) const;  // names, sorted
  std::optional<std::string> text_attribute(const std::string& object,
                                            const std::string& name) const;
  // An array of strings, also where Keras split it over NAME0, NAME1, ...
  std::optional<std::vector<std::string>> text_array(const std::string& object,
                                                     const std::string& name) const;
  // Views the buffer where the data stands there plain and aligned; a copy of its own otherwise.
  Tensor dataset(const std::string& path) const;

  const std::string& where() const noexcept { return where_; }

 private:
  std::optional<std::vector<std::string>> strings(const std::string& object,
                                                  const std::string& name) const;
  std::shared_ptr<FileBuffer> buffer_;
  std::int64_t file_ = -1;
  std::string where_;
};

}  // namespace kerf::formats
