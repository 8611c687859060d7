#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::layers {

// Typed, checked access to a layer's configuration. Every function throws
// Error(kInvalidFile, ..., "layer dense_1 (Dense), field units") where a value is missing without a
// default or of the wrong type. Does not own the object.
class Config {
 public:
  Config(const boost::json::object& object, std::string where);

  bool has(std::string_view key) const;  // present and not null
  std::int64_t integer(std::string_view key) const;
  std::int64_t integer(std::string_view key, std::int64_t fallback) const;
  // An integer of at least 1, and not so large that a product of two overflows.
  std::int64_t size(std::string_view key) const;
  std::int64_t size(std::string_view key, std::int64_t fallback) const;
  double number(std::string_view key, double fallback) const;
  std::optional<double> optional_number(std::string_view key) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  // An integer or an array of integers (null entries read as -1).
  std::vector<std::int64_t> integers(std::string_view key) const;
  // An integer stands for `count` equal ones; otherwise the array must have `count` entries.
  std::vector<std::int64_t> integers(std::string_view key, std::size_t count,
                                     std::int64_t fallback) const;
  // nullptr if absent or null.
  const boost::json::value* find(std::string_view key) const;
  bool channels_first() const;  // of "data_format"

  const std::string& where() const noexcept { return where_; }
  // Throws Error(kUnsupported) or Error(kInvalidFile) at this field.
  [[noreturn]] void unsupported(std::string_view key, std::string message) const;
  [[noreturn]] void invalid(std::string_view key, std::string message) const;

 private:
  const boost::json::object& object_;
  std::string where_;
};

}  // namespace kerf::layers
