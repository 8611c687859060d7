#pragma once

#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formats/file_buffer.h"
#include "kerf/tensor.h"

namespace kerf::formats {

class Hdf5File;

// Groups and datasets by their paths, out of one HDF5 file or of several. See Hdf5File for what
// each function does and throws.
class WeightStore {
 public:
  virtual ~WeightStore() = default;
  virtual bool has(const std::string& path) const = 0;
  virtual std::vector<std::string> children(const std::string& group) const = 0;
  virtual std::optional<std::string> text_attribute(const std::string& object,
                                                    const std::string& name) const = 0;
  virtual Tensor dataset(const std::string& path) const = 0;
  virtual const std::string& where() const noexcept = 0;
};

// Weights that Keras 3.10 and later split over several HDF5 files, which an index lists.
class ShardedWeights final : public WeightStore {
 public:
  // The bytes of the shard that the index calls `name`: that of a file beside it.
  using Open = std::function<std::shared_ptr<FileBuffer>(const std::string& name)>;

  // Whether a JSON document is such an index.
  static bool recognises(const boost::json::value& document);
  // Opens every shard. Throws Error(kInvalidFile) for an index that names files elsewhere, and what
  // `open` and Hdf5File throw.
  ShardedWeights(const boost::json::value& index, std::string where, const Open& open);
  ~ShardedWeights() override;

  bool has(const std::string& path) const override;
  std::vector<std::string> children(const std::string& group) const override;
  std::optional<std::string> text_attribute(const std::string& object,
                                            const std::string& name) const override;
  Tensor dataset(const std::string& path) const override;
  const std::string& where() const noexcept override { return where_; }

 private:
  std::string where_;
  std::vector<std::unique_ptr<Hdf5File>> shards_;
};

}  // namespace kerf::formats
