#pragma once

#include <toml++/toml.h>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/precision.h"
#include "serving/access.h"
#include "serving/model_spec.h"
#include "serving/repository.h"

namespace kerf::config {

// How values stand in a configuration: each kind reads a TOML node, throwing an Error that says
// what should stand there, and shows a value as TOML that reads as the same again.

struct Flag {
  static constexpr std::string_view form = "true or false";
  static void read(const toml::node& node, bool& value);
  static std::string show(bool value);
};

struct Text {
  static constexpr std::string_view form = "text";
  static void read(const toml::node& node, std::string& value);
  static std::string show(const std::string& value);
};

// A relative one is meant from the folder of the configuration file.
struct Path {
  static constexpr std::string_view form = "path";
  static void read(const toml::node& node, std::filesystem::path& value);
  static std::string show(const std::filesystem::path& value);
};

struct TextList {
  static constexpr std::string_view form = "list of texts";
  static void read(const toml::node& node, std::vector<std::string>& value);
  static std::string show(const std::vector<std::string>& value);
};

// Of `From` at least and `To` at most.
template <std::int64_t From, std::int64_t To = std::int64_t{1} << 53>
struct Count {
  static constexpr std::string_view form = "whole number";
  template <typename T>
  static void read(const toml::node& node, T& value);
  template <typename T>
  static std::string show(T value) {
    return std::to_string(value);
  }
};

struct Real {
  static constexpr std::string_view form = "number";
  static void read(const toml::node& node, double& value);
  static std::string show(double value);
};

// "64MiB", "1GiB", "512KiB", or a number of bytes.
struct Bytes {
  static constexpr std::string_view form = "size";
  static void read(const toml::node& node, std::size_t& value);
  static std::string show(std::size_t value);
};

// "2m", "30s", "500ms", "200us".
struct Duration {
  static constexpr std::string_view form = "duration";
  template <typename T>
  static void read(const toml::node& node, T& value) {
    value = std::chrono::duration_cast<T>(read(node));
  }
  static std::string show(std::chrono::microseconds value);

 private:
  static std::chrono::microseconds read(const toml::node& node);
};

// "all", "latest", "latest 3", or a list of versions.
struct Versions {
  static constexpr std::string_view form = "versions";
  static void read(const toml::node& node, std::optional<serving::VersionPolicy>& value);
  static std::string show(const std::optional<serving::VersionPolicy>& value);
};

// { stable = 3, canary = 4 }
struct Labels {
  static constexpr std::string_view form = "table of versions";
  using Map = std::map<std::string, std::string, std::less<>>;
  static void read(const toml::node& node, Map& value);
  static std::string show(const Map& value);
};

struct Control {
  static constexpr std::string_view form = "\"none\", \"explicit\" or \"poll\"";
  static void read(const toml::node& node, serving::ModelControl& value);
  static std::string show(serving::ModelControl value);
};

struct PrecisionName {
  static constexpr std::string_view form = "\"float32\", \"bf16\" or \"int8\"";
  static void read(const toml::node& node, Precision& value);
  static std::string show(Precision value);
};

// The same, or nothing where it is not given.
struct OwnPrecision {
  static constexpr std::string_view form = PrecisionName::form;
  static void read(const toml::node& node, std::optional<Precision>& value) {
    PrecisionName::read(node, value.emplace());
  }
  static std::string show(std::optional<Precision> value) {
    return value ? PrecisionName::show(*value) : "";
  }
};

// A port, "next" (-1) or "off" (-2).
struct GrpcPort {
  static constexpr std::string_view form = "port, \"next\" or \"off\"";
  static void read(const toml::node& node, std::int64_t& value);
  static std::string show(std::int64_t value);
};

// The SHA-256 of a secret, in hexadecimal.
struct Hash {
  static constexpr std::string_view form = "SHA-256 in hexadecimal";
  static void read(const toml::node& node, serving::KeyHash& value);
  static std::string show(const serving::KeyHash& value);
};

// A date, or a date with time; without an offset in UTC.
struct Moment {
  using Value = std::optional<std::chrono::system_clock::time_point>;
  static constexpr std::string_view form = "date, or date and time";
  static void read(const toml::node& node, Value& value);
  static std::string show(const Value& value);
};

// Text in quotes, as TOML has it.
std::string shown_text(std::string_view text);
// A key as it stands before "=" or within [ ]: in quotes if it must be.
std::string shown_key(std::string_view key);

// The whole number within these bounds that a node is.
std::int64_t read_integer(const toml::node& node, std::int64_t from, std::int64_t to);

template <std::int64_t From, std::int64_t To>
template <typename T>
void Count<From, To>::read(const toml::node& node, T& value) {
  value = static_cast<T>(read_integer(node, From, To));
}

}  // namespace kerf::config
