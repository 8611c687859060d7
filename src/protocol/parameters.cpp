#include "protocol/parameters.h"

#include <fmt/format.h>

#include <limits>
#include <optional>
#include <string>

#include "kerf/error.h"

namespace kerf::protocol {
namespace {

[[noreturn]] void must_be(std::string_view key, std::string_view what) {
  throw Error(ErrorCode::kInvalidArgument, fmt::format("must be {}", what),
              fmt::format("parameter {}", key));
}

bool boolean(std::string_view key, const ParameterValue& value) {
  if (const bool* is = std::get_if<bool>(&value)) return *is;
  must_be(key, "true or false");
}

std::uint64_t number(std::string_view key, const ParameterValue& value) {
  if (const auto* is = std::get_if<std::uint64_t>(&value)) return *is;
  const auto* is = std::get_if<std::int64_t>(&value);
  if (is == nullptr || *is < 0) must_be(key, "an integer from 0");
  return static_cast<std::uint64_t>(*is);
}

std::string_view text(std::string_view key, const ParameterValue& value) {
  if (const auto* is = std::get_if<std::string_view>(&value)) return *is;
  must_be(key, "a string");
}

// Whether the key is one of those that name shared memory.
bool set_shared(std::string_view key, const ParameterValue& value,
                std::optional<SharedPart>& shared) {
  if (!key.starts_with("shared_memory_")) return false;
  const auto part = [&]() -> SharedPart& { return shared ? *shared : shared.emplace(); };
  if (key == "shared_memory_region") {
    part().region = text(key, value);
  } else if (key == "shared_memory_offset") {
    part().offset = number(key, value);
  } else if (key == "shared_memory_byte_size") {
    part().byte_size = number(key, value);
  }
  return true;
}

}  // namespace

void set_parameter(std::string_view key, const ParameterValue& value, InferRequest& request) {
  if (key == "binary_data_output") {
    request.binary_output = boolean(key, value);
  } else if (key == "timeout") {
    request.timeout = std::chrono::microseconds(
        std::min<std::uint64_t>(number(key, value), std::numeric_limits<std::int32_t>::max()));
  } else if (key == "priority") {
    request.priority = number(key, value);
  }
}

void set_parameter(std::string_view key, const ParameterValue& value, RequestInput& input) {
  if (key == "binary_data_size") {
    input.binary_size = number(key, value);
  } else {
    set_shared(key, value, input.shared);
  }
}

void set_parameter(std::string_view key, const ParameterValue& value, RequestOutput& output) {
  if (key == "binary_data") {
    output.binary = boolean(key, value);
  } else if (key == "classification") {
    output.classes = number(key, value);
    if (output.classes == 0) must_be(key, "an integer from 1");
  } else {
    set_shared(key, value, output.shared);
  }
}

}  // namespace kerf::protocol
