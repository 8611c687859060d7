#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kerf::test {

// Fields of Protocol Buffers messages, as they stand on the wire.
std::string number_field(unsigned field, std::uint64_t value);
std::string bytes_field(unsigned field, const std::string& value);
std::string varint(std::uint64_t value);

// CRC-32C bit by bit, masked as LevelDB does.
std::uint32_t masked_crc(const std::string& bytes);

// A table in LevelDB's format of these blocks of entries, which may be wrong.
using TableBlock = std::vector<std::pair<std::string, std::string>>;
std::string sorted_table(const std::vector<TableBlock>& blocks, char compression = 0,
                         std::size_t restart_interval = 3);

struct Variable {
  std::string path;  // of objects below the model: "layer-1/kernel"
  std::vector<std::int64_t> dims;
  std::vector<float> values;
  unsigned shard = 0;
  std::string aliases{};  // another path to the same variable
};

// A SavedModel folder as tf.keras writes it, to be changed by tests before it is written.
struct SavedModel {
  std::string identifier = "_tf_keras_network";
  std::string metadata;
  bool old = false;  // the metadata in saved_model.pb, as before TensorFlow 2.5
  unsigned shards = 1;
  std::vector<Variable> variables;
  std::string padding{};                       // before the first variable of a file
  std::map<std::string, std::string> extra{};  // further fields of entries, by path

  std::string keras_metadata() const;
  std::string object_graph() const;
  // What stands in variables/ under each name.
  std::map<std::string, std::string> variable_files() const;
  void write(const std::filesystem::path& folder) const;
};

// What stands in saved_model.pb for a root object with these fields.
std::string saved_model_proto(const std::string& root);
// The fields of a root object that is a user's, and has these children.
std::string user_object(const std::string& identifier, const std::string& metadata,
                        const std::vector<std::string>& children);

}  // namespace kerf::test
