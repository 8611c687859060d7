#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "formats/file_buffer.h"
#include "formats/graph_reader.h"

namespace kerf::formats {

// A layers model of TensorFlow.js: a JSON document with a configuration as Keras 2 writes it, and a
// list of weights by name, whose bytes stand one behind another in files beside it, the shards.
// Nothing in it is trusted. Used by one thread.
class TfjsModel {
 public:
  // The bytes of the shard that the document calls `path`: relative, and without "..".
  using Shards = std::function<std::shared_ptr<FileBuffer>(const std::string& path)>;

  // Whether this document is one of TensorFlow.js, of either kind.
  static bool recognises(const boost::json::value& document);

  // Throws Error(kInvalidFile | kUnsupported); `where` names the document.
  TfjsModel(const boost::json::value& document, std::string where);

  const boost::json::object& config() const noexcept { return config_; }
  KerasVersion version() const noexcept { return version_; }
  std::size_t shard_count() const noexcept { return named_.size(); }

  // Reads the weights of every layer of the skeleton. Those that are missing or of the wrong shape
  // are added to `problems`. Throws what `shards` throws, and Error(kInvalidFile) for shards that
  // are too short.
  void read_weights(const Shards& shards, Skeleton& skeleton, Problems& problems) const;

 private:
  struct Entry {
    std::vector<std::string> name;  // its parts
    std::string dtype;
    std::string stored;  // the type in the shards
    Shape shape;
    std::size_t group = 0;
    std::uint64_t offset = 0;
    std::uint64_t count = 0;
    double scale = 1;
    double min = 0;
  };

  [[noreturn]] void invalid(std::string message) const;
  void read_group(const boost::json::value& group);
  Entry read_entry(const boost::json::value& entry) const;
  std::shared_ptr<FileBuffer> group_bytes(std::size_t group, const Shards& shards) const;
  const Entry& find(const std::string& path, const layers::WeightSpec& spec) const;
  Tensor value_of(const Entry& entry, const std::shared_ptr<FileBuffer>& bytes) const;

  std::string where_;
  boost::json::object config_;
  KerasVersion version_;
  std::vector<std::vector<std::string>> paths_;  // of the shards, by group
  std::set<std::string> named_;                  // all of them
  std::vector<std::uint64_t> sizes_;             // that the weights of each group need
  std::vector<Entry> entries_;
};

}  // namespace kerf::formats
