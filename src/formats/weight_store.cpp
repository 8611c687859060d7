#include "formats/weight_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <set>

#include "formats/hdf5_file.h"
#include "kerf/error.h"

namespace kerf::formats {
namespace {

namespace json = boost::json;

// The files that the index names, each once, in the order of their names.
std::set<std::string> shard_names(const json::value& index, const std::string& where) {
  std::set<std::string> names;
  const auto add = [&](const json::value& value) {
    const std::string name = value.is_string() ? std::string(value.get_string()) : std::string();
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
      throw Error(ErrorCode::kInvalidFile,
                  fmt::format("'{}' is not the name of a file beside this one", name), where);
    }
    names.insert(name);
  };
  for (const auto& entry : index.at("weight_map").as_object()) {
    if (const json::array* array = entry.value().if_array()) {
      for (const json::value& name : *array) add(name);
    } else {
      add(entry.value());
    }
  }
  if (names.empty()) throw Error(ErrorCode::kInvalidFile, "it names no files of weights", where);
  return names;
}

}  // namespace

bool ShardedWeights::recognises(const json::value& document) {
  const json::object* object = document.if_object();
  const json::value* map = object != nullptr ? object->if_contains("weight_map") : nullptr;
  return map != nullptr && map->is_object();
}

ShardedWeights::ShardedWeights(const json::value& index, std::string where, const Open& open)
    : where_(std::move(where)) {
  if (!recognises(index)) {
    throw Error(ErrorCode::kInvalidFile, "it is no index of weights: it has no weight_map", where_);
  }
  for (const std::string& name : shard_names(index, where_)) {
    shards_.push_back(std::make_unique<Hdf5File>(open(name), fmt::format("{}, {}", where_, name)));
  }
}

ShardedWeights::~ShardedWeights() = default;

bool ShardedWeights::has(const std::string& path) const {
  return std::ranges::any_of(shards_, [&](const auto& shard) { return shard->has(path); });
}

// A group that was begun when a file was full stands in two, empty in the first.
std::vector<std::string> ShardedWeights::children(const std::string& group) const {
  std::set<std::string> names;
  for (const auto& shard : shards_) {
    if (!shard->has(group)) continue;
    for (std::string& name : shard->children(group)) names.insert(std::move(name));
  }
  return {names.begin(), names.end()};
}

std::optional<std::string> ShardedWeights::text_attribute(const std::string& object,
                                                          const std::string& name) const {
  for (const auto& shard : shards_) {
    if (!shard->has(object)) continue;
    if (auto text = shard->text_attribute(object, name)) return text;
  }
  return std::nullopt;
}

Tensor ShardedWeights::dataset(const std::string& path) const {
  for (const auto& shard : shards_) {
    if (shard->has(path)) return shard->dataset(path);
  }
  throw Error(ErrorCode::kInvalidFile, fmt::format("none of its files has '{}'", path), where_);
}

}  // namespace kerf::formats
