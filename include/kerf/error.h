#pragma once

#include <exception>
#include <string>
#include <string_view>

namespace kerf {

// What kind of failure an Error reports. Front ends map it to an HTTP status, a gRPC code or an
// exit code; nothing else should branch on it.
enum class ErrorCode {
  kInvalidArgument,    // the caller asked for something that cannot be (a name, shape, dtype, cut)
  kNotFound,           // a file, model, version or tensor does not exist
  kInvalidFile,        // a model file is damaged, contradictory or hostile
  kUnsupported,        // valid, but kerf does not do it (a layer, an option, a format)
  kResourceExhausted,  // a limit was reached (memory, body size, queue length)
  kUnavailable,        // not ready, or shutting down: retry later
  kDeadlineExceeded,   // the request's time ran out before it was run
  kInternal,           // a defect of kerf
};

// The one exception type of the library, thrown while reading, cutting and compiling, never while
// a compiled plan runs. `message` says what is wrong and what to do; `where` names the place
// (file, layer, tensor, field), outermost first, empty if there is none.
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message, std::string where = {});

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& where() const noexcept { return where_; }
  // "where: message".
  const char* what() const noexcept override { return what_.c_str(); }

  // The same error seen from further out: `outer` is put before `where()`.
  Error within(std::string_view outer) const;

 private:
  ErrorCode code_;
  std::string message_;
  std::string where_;
  std::string what_;
};

// The code's stable name, e.g. "INVALID_ARGUMENT".
std::string_view error_code_name(ErrorCode code) noexcept;

}  // namespace kerf
