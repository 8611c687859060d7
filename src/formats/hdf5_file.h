#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/tensor.h"

namespace kerf::formats {

// An HDF5 file in memory, read through the HDF5 library. The library is not thread-safe as Debian
// builds it, so every call holds one lock of the process. Only plain groups and datasets are
// followed: links out of the file, soft links and external storage are refused.
class Hdf5File {
 public:
  // `bytes` is copied by the library. Throws Error(kInvalidFile).
  Hdf5File(std::span<const std::byte> bytes, std::string where);
  ~Hdf5File();
  Hdf5File(const Hdf5File&) = delete;
  Hdf5File& operator=(const Hdf5File&) = delete;

  bool has(const std::string& path) const;                            // "/a/b"
  std::vector<std::string> children(const std::string& group) const;  // names, sorted
  std::optional<std::string> text_attribute(const std::string& object,
                                            const std::string& name) const;
  // An array of strings, also where Keras split it over NAME0, NAME1, ...
  std::optional<std::vector<std::string>> text_array(const std::string& object,
                                                     const std::string& name) const;
  Tensor dataset(const std::string& path) const;

  const std::string& where() const noexcept { return where_; }

 private:
  std::vector<std::string> strings(const std::string& object, const std::string& name,
                                   bool& present) const;
  std::int64_t file_ = -1;
  std::string where_;
  std::size_t size_ = 0;
};

}  // namespace kerf::formats
