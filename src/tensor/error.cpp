#include "kerf/error.h"

#include <utility>

namespace kerf {

Error::Error(ErrorCode code, std::string message, std::string where)
    : code_(code), message_(std::move(message)), where_(std::move(where)) {
  what_ = where_.empty() ? message_ : where_ + ": " + message_;
}

Error Error::within(std::string_view outer) const {
  std::string where(outer);
  if (!where_.empty()) where += ", " + where_;
  return {code_, message_, std::move(where)};
}

std::string_view error_code_name(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return "INVALID_ARGUMENT";
    case ErrorCode::kNotFound:
      return "NOT_FOUND";
    case ErrorCode::kInvalidFile:
      return "INVALID_FILE";
    case ErrorCode::kUnsupported:
      return "UNSUPPORTED";
    case ErrorCode::kResourceExhausted:
      return "RESOURCE_EXHAUSTED";
    case ErrorCode::kUnavailable:
      return "UNAVAILABLE";
    case ErrorCode::kDeadlineExceeded:
      return "DEADLINE_EXCEEDED";
    case ErrorCode::kInternal:
      return "INTERNAL";
  }
  return "INTERNAL";
}

}  // namespace kerf
