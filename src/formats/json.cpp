#include "formats/json.h"

#include <fmt/format.h>

#include <boost/json/stream_parser.hpp>

#include "kerf/error.h"

namespace kerf::formats {
namespace {

std::string quote_non_finite(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (in_string) {
      if (text[i] == '\\' && i + 1 < text.size()) {
        result += text[i++];
      } else if (text[i] == '"') {
        in_string = false;
      }
      result += text[i];
      continue;
    }
    in_string = text[i] == '"';
    bool replaced = false;
    for (const std::string_view word : {"NaN", "-Infinity", "Infinity"}) {
      if (text.substr(i, word.size()) == word) {
        result += '"';
        result += word;
        result += '"';
        i += word.size() - 1;
        replaced = true;
        break;
      }
    }
    if (!replaced) result += text[i];
  }
  return result;
}

}  // namespace

boost::json::value parse_json(std::string_view text, const std::string& where) {
  const std::string quoted = quote_non_finite(text);
  boost::json::parse_options options;
  options.max_depth = 512;
  boost::json::stream_parser parser({}, options);
  boost::json::error_code error;
  const std::size_t consumed = parser.write_some(quoted, error);
  if (!error) parser.finish(error);
  if (!error && quoted.find_first_not_of(" \t\r\n", consumed) != std::string::npos) {
    error = boost::json::error::extra_data;
  }
  if (error) {
    throw Error(ErrorCode::kInvalidFile,
                fmt::format("this is not valid JSON, at byte {}: {}", consumed, error.message()),
                where);
  }
  return parser.release();
}

}  // namespace kerf::formats
