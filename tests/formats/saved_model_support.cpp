#include "tests/formats/saved_model_support.h"

#include <fmt/format.h>

#include "tests/formats/support.h"

namespace kerf::test {
namespace {

template <typename T>
std::string little(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

std::string fixed_field(unsigned field, std::uint32_t value) {
  return varint(field << 3U | 5U) + little(value);
}

std::string block_of(const TableBlock& entries, std::size_t restart_interval) {
  std::string block;
  std::string restarts;
  std::uint32_t count = 0;
  std::string before;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const auto& [key, value] = entries[i];
    std::size_t shared = 0;
    if (i % restart_interval == 0) {
      restarts += little(static_cast<std::uint32_t>(block.size()));
      ++count;
    } else {
      while (shared < std::min(before.size(), key.size()) && before[shared] == key[shared]) {
        ++shared;
      }
    }
    block += varint(shared) + varint(key.size() - shared) + varint(value.size());
    block += key.substr(shared) + value;
    before = key;
  }
  return block + restarts + little(count);
}

}  // namespace

std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7U) bytes += static_cast<char>(value | 0x80U);
  return bytes + static_cast<char>(value);
}

std::string number_field(unsigned field, std::uint64_t value) {
  return varint(field << 3U) + varint(value);
}

std::string bytes_field(unsigned field, const std::string& value) {
  return varint(field << 3U | 2U) + varint(value.size()) + value;
}

std::uint32_t masked_crc(const std::string& bytes) {
  std::uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1U) ^ ((crc & 1U) != 0 ? 0x82f63b78U : 0U);
  }
  crc = ~crc;
  return ((crc >> 15U) | (crc << 17U)) + 0xa282ead8U;
}

std::string sorted_table(const std::vector<TableBlock>& blocks, char compression,
                         std::size_t restart_interval) {
  std::string file;
  const auto add = [&](const std::string& block) {
    const std::string handle = varint(file.size()) + varint(block.size());
    file += block + compression + little(masked_crc(block + compression));
    return handle;
  };
  TableBlock index;
  for (const TableBlock& block : blocks)
    index.emplace_back(block.back().first, add(block_of(block, restart_interval)));
  std::string footer = add(block_of({}, 1));
  footer += add(block_of(index, 1));
  footer.resize(40);
  return file + footer + little(std::uint64_t{0xdb4775248b80fb57});
}

std::string SavedModel::keras_metadata() const {
  const auto node = [](const std::string& path, const std::string& kind, const std::string& json) {
    return bytes_field(
        1, number_field(2, 1) + bytes_field(3, path) + bytes_field(4, kind) + bytes_field(5, json));
  };
  return node("root.layer-0", "_tf_keras_input_layer", "{}") + node("root", identifier, metadata);
}

std::string SavedModel::object_graph() const {
  std::vector<std::pair<std::string, std::string>> nodes{{"", ""}};  // children, attributes
  std::map<std::string, std::size_t> ids{{"", 0}};
  const auto add = [&](const std::string& path, std::size_t leaf) {
    std::size_t node = 0;
    for (std::size_t at = 0; at < path.size();) {
      const std::size_t end = std::min(path.find('/', at), path.size());
      const std::string here = path.substr(0, end);
      const bool last = end == path.size() && leaf != 0;
      if (!ids.contains(here)) {
        ids[here] = last ? leaf : nodes.size();
        if (!last) nodes.emplace_back();
        nodes[node].first +=
            bytes_field(1, number_field(1, ids[here]) + bytes_field(2, path.substr(at, end - at)));
      }
      node = ids[here];
      at = end + 1;
    }
    return node;
  };
  for (const Variable& variable : variables) {
    const std::size_t node = add(variable.path, 0);
    nodes[node].second =
        bytes_field(2, bytes_field(1, "VARIABLE_VALUE") + bytes_field(2, "any/name") +
                           bytes_field(3, variable.path + "/.ATTRIBUTES/VARIABLE_VALUE"));
    if (!variable.aliases.empty()) add(variable.aliases, node);
  }
  std::string message;
  for (const auto& [children, attributes] : nodes) message += bytes_field(1, children + attributes);
  return message;
}

std::map<std::string, std::string> SavedModel::variable_files() const {
  std::vector<std::string> data(shards, padding);
  std::map<std::string, std::string> entries;
  const auto add = [&](const std::string& key, unsigned type, const std::string& shape,
                       unsigned shard, const std::string& bytes, std::uint32_t crc) {
    std::string entry = number_field(1, type) + bytes_field(2, shape);
    if (shard != 0) entry += number_field(3, shard);
    entry += number_field(4, data[shard].size()) + number_field(5, bytes.size());
    entries[key] = entry + fixed_field(6, crc);
    data[shard] += bytes;
  };
  for (const Variable& variable : variables) {
    const std::string bytes(reinterpret_cast<const char*>(variable.values.data()),
                            variable.values.size() * sizeof(float));
    std::string shape;
    for (const std::int64_t dim : variable.dims) {
      shape += bytes_field(2, number_field(1, static_cast<std::uint64_t>(dim)));
    }
    const std::string key = variable.path + "/.ATTRIBUTES/VARIABLE_VALUE";
    add(key, 1, shape, variable.shard, bytes, masked_crc(bytes));
    if (const auto more = extra.find(variable.path); more != extra.end()) {
      entries[key] += more->second;
    }
  }
  const std::string graph = object_graph();
  const std::string length = little(static_cast<std::uint32_t>(graph.size()));
  const std::string sum = little(masked_crc(length));
  add("_CHECKPOINTABLE_OBJECT_GRAPH", 7, "", 0, varint(graph.size()) + sum + graph,
      masked_crc(length + sum + graph));
  std::vector<TableBlock> blocks{
      {{"", number_field(1, shards) + bytes_field(3, number_field(1, 1))}}};
  for (const auto& entry : entries) {
    if (blocks.back().size() == 5) blocks.emplace_back();
    blocks.back().push_back(entry);
  }
  std::map<std::string, std::string> files{{"variables.index", sorted_table(blocks)}};
  for (unsigned i = 0; i < shards; ++i) {
    files[fmt::format("variables.data-{:05}-of-{:05}", i, shards)] = data[i];
  }
  return files;
}

void SavedModel::write(const std::filesystem::path& folder) const {
  std::filesystem::create_directories(folder / "variables");
  write_text(folder / "saved_model.pb",
             saved_model_proto(user_object(identifier, old ? metadata : "", {"layer-0"})));
  if (!old) write_text(folder / "keras_metadata.pb", keras_metadata());
  for (const auto& [name, bytes] : variable_files()) write_text(folder / "variables" / name, bytes);
}

std::string saved_model_proto(const std::string& root) {
  const std::string objects = bytes_field(1, root) + bytes_field(1, "");
  const std::string graph = bytes_field(1, "info") + bytes_field(2, "operations");
  return number_field(1, 1) + bytes_field(2, graph + bytes_field(7, objects));
}

std::string user_object(const std::string& identifier, const std::string& metadata,
                        const std::vector<std::string>& children) {
  std::string root;
  for (const std::string& child : children) {
    root += bytes_field(1, number_field(1, 1) + bytes_field(2, child));
  }
  return root +
         bytes_field(4, bytes_field(1, identifier) + bytes_field(2, "") + bytes_field(3, metadata));
}

}  // namespace kerf::test
