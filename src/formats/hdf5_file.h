#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/file_buffer.h"
#include "formats/hdf5_object.h"
#include "formats/weight_store.h"
#include "kerf/tensor.h"

namespace kerf::formats {

// An HDF5 file in memory: the part of the format that h5py writes for Keras, of every age. Soft and
// external links, external storage, virtual datasets and foreign filters are refused. Nothing in
// the file is trusted. One thread at a time; several files may be read at once. Errors are
// Error(kInvalidFile | kUnsupported) and name the file and the object.
class Hdf5File final : public WeightStore {
 public:
  Hdf5File(std::shared_ptr<FileBuffer> buffer, std::string where);

  // Whether a group or dataset stands at "/a/b".
  bool has(const std::string& path) const override;
  std::vector<std::string> children(const std::string& group) const override;  // names, sorted
  std::optional<std::string> text_attribute(const std::string& object,
                                            const std::string& name) const override;
  // An array of strings, also where Keras split it over NAME0, NAME1, ...
  std::optional<std::vector<std::string>> text_array(const std::string& object,
                                                     const std::string& name) const;
  // Views the buffer where the data stands there plain and aligned; a copy of its own otherwise.
  Tensor dataset(const std::string& path) const override;

  const std::string& where() const noexcept override { return where_; }

 private:
  const hdf5::Object& object_at(std::uint64_t address) const;
  const hdf5::Object& object(const std::string& path) const;
  std::optional<std::vector<std::string>> strings(const std::string& object,
                                                  const std::string& name) const;
  Tensor read(const hdf5::Object& object) const;
  // Runs `step`; what it finds wrong becomes an error about `place`.
  template <typename Step>
  decltype(auto) about(const std::string& place, Step&& step) const;

  std::shared_ptr<FileBuffer> buffer_;
  std::string where_;
  std::optional<hdf5::Image> image_;
  mutable std::map<std::uint64_t, hdf5::Object> objects_;
};

}  // namespace kerf::formats
