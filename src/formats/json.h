#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

namespace kerf::formats {

// Parses JSON as Python writes it: the bare words NaN, Infinity and -Infinity become strings of
// that text. Throws Error(kInvalidFile) with the position; `where` names the document.
boost::json::value parse_json(std::string_view text, const std::string& where);

}  // namespace kerf::formats
