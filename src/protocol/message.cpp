#include "protocol/message.h"

#include "protocol/json_text.h"

namespace kerf::protocol {

int http_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:  // a tensor; unknown models are answered before anything is thrown
      return 400;
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kResourceExhausted:
      return 413;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kDeadlineExceeded:
      return 504;
    case ErrorCode::kInvalidFile:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

void write_error(Reply& reply, int status, std::string_view message) {
  reply.clear();
  reply.status = status;
  reply.body.append("{\"error\":");
  append_string(reply.body, message);
  reply.body.push_back('}');
}

}  // namespace kerf::protocol
