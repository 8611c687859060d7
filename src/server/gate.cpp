#include "server/gate.h"

#include <algorithm>

namespace kerf::server {
namespace {

using protocol::Endpoint;
using serving::Access;
using serving::Operation;

Operation operation_of(Endpoint endpoint) {
  switch (endpoint) {
    case Endpoint::kLive:
    case Endpoint::kReady:
    case Endpoint::kModelReady:
      return Operation::kHealth;
    case Endpoint::kMetrics:
      return Operation::kMetrics;
    case Endpoint::kInfer:
    case Endpoint::kPredict:
    case Endpoint::kClassify:
    case Endpoint::kRegress:
    case Endpoint::kSharedMemoryStatus:
    case Endpoint::kSharedMemoryRegister:
    case Endpoint::kSharedMemoryUnregister:
    case Endpoint::kCudaSharedMemory:
      return Operation::kInfer;
    case Endpoint::kUnknown:
    case Endpoint::kMalformed:
    case Endpoint::kServerMetadata:
    case Endpoint::kOpenApi:
    case Endpoint::kApiPage:
    case Endpoint::kModels:
    case Endpoint::kRepositoryIndex:
    case Endpoint::kModelMetadata:
    case Endpoint::kModelConfig:
    case Endpoint::kModelGraph:
    case Endpoint::kStatistics:
    case Endpoint::kTensorflowStatus:
    case Endpoint::kTensorflowMetadata:
      return Operation::kMetadata;
    case Endpoint::kModelLoad:
    case Endpoint::kModelUnload:
    case Endpoint::kTraceSettings:
    case Endpoint::kLogSettings:
      break;
  }
  return Operation::kControl;
}

int status_of(Access::Verdict verdict) {
  switch (verdict) {
    case Access::Verdict::kUnauthenticated:
      return 401;
    case Access::Verdict::kForbidden:
      return 403;
    case Access::Verdict::kTooMany:
      return 429;
    case Access::Verdict::kGranted:
      break;
  }
  return 200;
}

}  // namespace

bool Gate::answers_preflight(const protocol::Request& request, protocol::Reply& reply) const {
  if (request.method != "OPTIONS" || request.origin.empty() || cors_.origins.empty()) return false;
  reply.clear();
  reply.status = 204;
  return true;
}

bool Gate::admit(const protocol::Request& request, protocol::Reply& reply) {
  // Browsers ask without the key, and learn nothing but what headers a request may have.
  if (answers_preflight(request, reply)) return false;
  const Access& access = access_.get();
  if (access.open()) return true;
  route_.read(request.target);
  const std::string_view token = serving::bearer_token(request.authorization);
  const Access::Decision decision = access.check(token.empty() ? request.api_key : token,
                                                 operation_of(route_.endpoint), route_.model);
  if (decision.verdict == Access::Verdict::kGranted) return true;
  protocol::write_error(reply, status_of(decision.verdict), decision.reason);
  return false;
}

std::string_view Gate::cors_headers(const protocol::Request& request) {
  if (cors_.origins.empty() || request.origin.empty()) return {};
  const auto is = [&](std::string_view origin) {
    return std::ranges::find(cors_.origins, origin) != cors_.origins.end();
  };
  headers_.clear();
  if (is("*")) {
    headers_ = "Access-Control-Allow-Origin: *\r\n";
  } else {
    headers_ = "Vary: Origin\r\n";
    if (!is(request.origin)) return headers_;
    headers_ += "Access-Control-Allow-Origin: ";
    headers_ += request.origin;
    headers_ += "\r\n";
  }
  if (request.method == "OPTIONS") {
    headers_ +=
        "Access-Control-Allow-Methods: GET, POST\r\n"
        "Access-Control-Allow-Headers: Authorization, Content-Type, Content-Encoding, "
        "Inference-Header-Content-Length, X-API-Key\r\n"
        "Access-Control-Max-Age: " +
        std::to_string(cors_.max_age.count()) + "\r\n";
  } else {
    headers_ += "Access-Control-Expose-Headers: Inference-Header-Content-Length\r\n";
  }
  return headers_;
}

}  // namespace kerf::server
