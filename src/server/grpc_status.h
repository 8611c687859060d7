#pragma once

#include <grpcpp/support/status.h>

#include <string>

#include "kerf/error.h"

namespace kerf::server {

// How gRPC reports an error of this kind. Unlike HTTP's, its codes tell an unknown model from an
// unknown tensor no better than the message does.
inline grpc::StatusCode grpc_code(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case ErrorCode::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case ErrorCode::kUnsupported:
      return grpc::StatusCode::UNIMPLEMENTED;
    case ErrorCode::kResourceExhausted:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case ErrorCode::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case ErrorCode::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case ErrorCode::kInvalidFile:
    case ErrorCode::kInternal:
      break;
  }
  return grpc::StatusCode::INTERNAL;
}

inline grpc::Status grpc_status(const Error& error) {
  return {grpc_code(error.code()), error.what()};
}

}  // namespace kerf::server
