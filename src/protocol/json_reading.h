#pragma once

#include <fmt/format.h>
#include <simdjson.h>

#include <string>
#include <string_view>
#include <utility>

#include "kerf/error.h"

namespace kerf::protocol {

// What readers of JSON messages by simdjson have in common.

[[noreturn]] inline void invalid_json(simdjson::error_code code) {
  throw Error(ErrorCode::kInvalidArgument,
              fmt::format("the body is not JSON: {}", simdjson::error_message(code)));
}

// The value of a result, or the error that says what was expected where.
template <typename T>
T expect_json(simdjson::simdjson_result<T> result, std::string_view what, std::string_view where) {
  T value;
  const simdjson::error_code code = std::move(result).get(value);
  if (code == simdjson::SUCCESS) return value;
  if (code == simdjson::INCORRECT_TYPE || code == simdjson::NUMBER_ERROR) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("must be {}", what), std::string(where));
  }
  invalid_json(code);
}

// The text of a value, without the space behind it.
inline std::string_view raw_json(simdjson::ondemand::value value, std::string_view where) {
  namespace ondemand = simdjson::ondemand;
  std::string_view text;
  switch (expect_json(value.type(), "a value", where)) {
    case ondemand::json_type::array:
      text = expect_json(expect_json(value.get_array(), "an array", where).raw_json(), "an array",
                         where);
      break;
    case ondemand::json_type::object:
      text = expect_json(expect_json(value.get_object(), "an object", where).raw_json(),
                         "an object", where);
      break;
    default:
      text = value.raw_json_token();
  }
  return text.substr(0, text.find_last_not_of(" \n\r\t") + 1);
}

}  // namespace kerf::protocol
