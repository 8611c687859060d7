#include "layers/vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cstring>
#include <limits>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

#include "kerf/error.h"
#include "layers/categories.h"
#include "program/lookup_table.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using program::LookupTable;

std::string bytes_of(std::int64_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::int64_t integer_of(const std::string& bytes) {
  std::int64_t value = 0;
  std::memcpy(&value, bytes.data(), sizeof(value));
  return value;
}

std::string mode_of(const Config& config) {
  const std::string mode = config.text("output_mode", "int");
  // TensorFlow 2.3 to 2.5 had other names.
  if (mode == "binary") return "multi_hot";
  if (mode == "tf-idf") return "tf_idf";
  for (const char* known : {"int", "one_hot", "multi_hot", "count", "tf_idf"}) {
    if (mode == known) return mode;
  }
  config.invalid("output_mode", fmt::format("'{}' is not one kerf knows", mode));
}

}  // namespace

Vocabulary::Vocabulary(LayerCall& call, const Kind& kind)
    : call_(call), config_(call.config()), kind_(kind), mode_(mode_of(config_)) {
  mask_ = special("mask_token", "mask_value", kind.mask);
  unknown_ = special("oov_token", "oov_value", kind.unknown);
  unknown_indices_ = config_.integer("num_oov_indices", 1);
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  if (unknown_indices_ < 0 || unknown_indices_ > kMost) {
    config_.invalid("num_oov_indices", fmt::format("is {}", unknown_indices_));
  }
  const std::string encoding = config_.text("encoding", "utf-8");
  if (encoding != "utf-8" && encoding != "UTF-8") {
    config_.unsupported("encoding", fmt::format("'{}' is not utf-8", encoding));
  }
  const json::value* given = config_.find("vocabulary");
  if (given != nullptr && !given->is_array()) config_.invalid("vocabulary", "is no list of tokens");
  if (given == nullptr || given->get_array().empty()) {
    config_.unsupported("vocabulary",
                        "the file does not hold it: neither the configuration nor the file's "
                        "assets do. Adapt the layer, or give it a list of tokens, and save the "
                        "model as .keras with TensorFlow as Keras' backend");
  }
  for (const json::value& entry : given->get_array()) {
    tokens_.push_back(token("vocabulary", entry));
  }
  first_ = first_unknown() + unknown_indices_;
  // The special tokens may stand before the others, or not.
  const auto special_count = static_cast<std::size_t>(first_);
  special_given_ = special_count <= tokens_.size();
  for (std::size_t i = 0; special_given_ && i < special_count; ++i) {
    special_given_ = tokens_[i] == (std::cmp_less(i, first_unknown()) ? mask_ : unknown_);
  }
  if (special_given_) tokens_.erase(tokens_.begin(), tokens_.begin() + first_);
  depth_ = config_.boolean("pad_to_max_tokens", false) ? config_.size("max_tokens") : size();
  if (depth_ < size()) {
    config_.invalid("max_tokens",
                    fmt::format("is {}, but the vocabulary has {} tokens", depth_, size()));
  }
}

std::optional<std::string> Vocabulary::special(std::string_view key, std::string_view old_key,
                                               const std::optional<std::string>& fallback) const {
  const json::object& config = call_.layer().config;
  const std::string_view used = config.contains(key) ? key : old_key;
  const json::value* value = config.if_contains(used);
  if (value == nullptr) {
    if (!fallback || !kind_.integers) return fallback;
    return bytes_of(-1);
  }
  if (value->is_null()) return std::nullopt;
  return token(used, *value);
}

std::string Vocabulary::token(std::string_view key, const json::value& value) const {
  if (!kind_.integers) {
    if (!value.is_string()) config_.invalid(key, "holds a token that is not a string");
    return std::string(value.get_string());
  }
  boost::system::error_code error;
  const auto integer = value.to_number<std::int64_t>(error);
  if (error) config_.invalid(key, "holds a token that is not an integer");
  return bytes_of(integer);
}

ValueId Vocabulary::table() {
  return call_.made("vocabulary", {DType::kUInt8, {Shape::kUnknown}}, [this] {
    std::vector<LookupTable::Entry> entries;
    for (const std::string& text : tokens_) {
      entries.push_back({.key = text, .value = first_ + std::ssize(entries)});
    }
    if (mask_) {
      entries.push_back(
          {.key = *mask_, .value = gives_ids() ? 0 : std::numeric_limits<std::int64_t>::max()});
    }
    try {
      return LookupTable::pack(entries);
    } catch (const Error& error) {
      throw Error(error.code(), error.message(), fmt::format("{}, vocabulary", config_.where()));
    }
  });
}

ValueId Vocabulary::tokens() {
  const Shape shape{size() + 1, 1};
  const DType dtype = kind_.integers ? DType::kInt64 : DType::kString;
  return call_.made("tokens", {dtype, shape}, [&] {
    // A layer without a token for unknown indices gives nothing, as Keras does.
    const std::string unknown = unknown_.value_or(kind_.integers ? bytes_of(0) : std::string());
    std::vector<std::string> all(static_cast<std::size_t>(first_), unknown);
    if (first_unknown() == 1) all.front() = *mask_;
    all.insert(all.end(), tokens_.begin(), tokens_.end());
    all.push_back(unknown);
    if (!kind_.integers) {
      const std::vector<std::string_view> views(all.begin(), all.end());
      return Tensor::of_strings(shape, views);
    }
    std::vector<std::int64_t> integers;
    for (const std::string& bytes : all) integers.push_back(integer_of(bytes));
    return Tensor::of<std::int64_t>(dtype, shape, integers);
  });
}

ValueId Vocabulary::encoded(ValueId ids) {
  if (gives_ids()) return ids;
  if (mode_ != "tf_idf") return encode_categories(call_, ids, mode_, depth_, "vocabulary");
  return weighted(encode_categories(call_, ids, "count", depth_, "vocabulary"));
}

ValueId Vocabulary::weighted(ValueId counts) {
  program::ProgramBuilder& ops = call_.ops();
  if (mode_ == "multi_hot") {
    return ops.append(program::Binary{program::Binary::Kind::kMinimum}, {counts, call_.scalar(1)});
  }
  if (mode_ != "tf_idf") return counts;
  const ValueId weights =
      config_.has("idf_weights")
          ? call_.made("idf_weights", {DType::kFloat32, {depth_}},
                       [this] { return Tensor::floats({depth_}, idf_weights()); })
          : call_.weight("idf_weights", {depth_}, false);
  return ops.append(program::Binary{program::Binary::Kind::kMultiply}, {counts, weights});
}

// One for each token given; unknown ones that were not given get the mean.
std::vector<float> Vocabulary::idf_weights() const {
  const json::value* given = config_.find("idf_weights");
  const json::array* array = given->if_array();
  if (array == nullptr || std::ssize(*array) > depth_) {
    config_.invalid("idf_weights", "is no list of a number for each token");
  }
  std::vector<float> weights;
  for (const json::value& entry : *array) {
    boost::system::error_code error;
    weights.push_back(static_cast<float>(entry.to_number<double>(error)));
    if (error) config_.invalid("idf_weights", "has an entry that is not a number");
  }
  const std::int64_t expected = special_given_ ? size() : std::ssize(tokens_);
  if (std::ssize(weights) < expected) {
    config_.invalid("idf_weights", fmt::format("has {} numbers, but the vocabulary {} tokens",
                                               weights.size(), expected));
  }
  if (!special_given_) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    const auto mean = static_cast<float>(sum / static_cast<double>(weights.size()));
    weights.insert(weights.begin(), static_cast<std::size_t>(first_), mean);
  }
  weights.resize(static_cast<std::size_t>(depth_));
  return weights;
}

}  // namespace kerf::layers
