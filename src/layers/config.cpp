#include "layers/config.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <utility>

#include "kerf/error.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;

// Python writes non-finite numbers as bare words; the reader turns those into strings.
std::optional<double> to_number(const json::value& value) {
  if (value.is_double()) return value.get_double();
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_string()) {
    const std::string_view text = value.get_string();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  }
  return std::nullopt;
}

std::optional<std::int64_t> to_integer(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_null()) return -1;
  const auto number = to_number(value);
  constexpr double kLimit = 9007199254740992.0;  // integers above are not exact in a double
  if (!number || std::nearbyint(*number) != *number || std::abs(*number) > kLimit) return {};
  return static_cast<std::int64_t>(*number);
}

}  // namespace

Config::Config(const json::object& object, std::string where)
    : object_(object), where_(std::move(where)) {}

const json::value* Config::find(std::string_view key) const {
  const json::value* value = object_.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool Config::has(std::string_view key) const { return find(key) != nullptr; }

std::int64_t Config::integer(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) invalid(key, "is missing");
  const auto integer = to_integer(*value);
  if (!integer) invalid(key, "is not an integer");
  return *integer;
}

std::int64_t Config::integer(std::string_view key, std::int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

std::int64_t Config::size(std::string_view key) const {
  const std::int64_t value = integer(key);
  constexpr std::int64_t kLargest = std::int64_t{1} << 31;
  if (value < 1 || value > kLargest) invalid(key, fmt::format("is {}, which is no size", value));
  return value;
}

std::int64_t Config::size(std::string_view key, std::int64_t fallback) const {
  return has(key) ? size(key) : fallback;
}

std::optional<double> Config::optional_number(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  const auto number = to_number(*value);
  if (!number) invalid(key, "is not a number");
  return number;
}

double Config::number(std::string_view key, double fallback) const {
  return optional_number(key).value_or(fallback);
}

bool Config::boolean(std::string_view key, bool fallback) const {
  const json::value* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_bool()) return value->get_bool();
  if (value->is_int64()) return value->get_int64() != 0;
  invalid(key, "is neither true nor false");
}

std::string Config::text(std::string_view key, std::string_view fallback) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) invalid(key, "is not a string");
  return std::string(value->get_string());
}

std::vector<std::int64_t> Config::integers(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) invalid(key, "is missing");
  std::vector<std::int64_t> result;
  const auto add = [&](const json::value& entry) {
    const auto integer = to_integer(entry);
    if (!integer) invalid(key, "has an entry that is not an integer");
    result.push_back(*integer);
  };
  if (const json::array* array = value->if_array()) {
    for (const json::value& entry : *array) add(entry);
  } else {
    add(*value);
  }
  return result;
}

std::vector<std::int64_t> Config::integers(std::string_view key, std::size_t count,
                                           std::int64_t fallback) const {
  if (!has(key)) return std::vector<std::int64_t>(count, fallback);
  std::vector<std::int64_t> result = integers(key);
  if (!find(key)->is_array()) result.assign(count, result.front());
  if (result.size() != count) {
    invalid(key, fmt::format("has {} entries instead of {}", result.size(), count));
  }
  return result;
}

bool Config::channels_first() const {
  const std::string format = text("data_format", "channels_last");
  if (format == "channels_first") return true;
  if (format != "channels_last") invalid("data_format", fmt::format("is '{}'", format));
  return false;
}

void Config::unsupported(std::string_view key, std::string message) const {
  throw Error(ErrorCode::kUnsupported, std::move(message),
              fmt::format("{}, field {}", where_, key));
}

void Config::invalid(std::string_view key, std::string message) const {
  throw Error(ErrorCode::kInvalidFile, std::move(message),
              fmt::format("{}, field {}", where_, key));
}

}  // namespace kerf::layers
