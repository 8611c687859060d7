#include "server/grpc_access.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace kerf::server {
namespace {

using serving::Access;
using serving::Operation;

// By the path "/package.Service/Method". What is not known here needs the most rights.
Operation operation_of(std::string_view path) {
  const std::string_view method = path.substr(path.rfind('/') + 1);
  const auto is_one = [&](auto... names) { return ((method == names) || ...); };
  if (path.starts_with("/grpc.health.") || is_one("ServerLive", "ServerReady", "ModelReady")) {
    return Operation::kHealth;
  }
  if (is_one("ModelInfer", "ModelStreamInfer", "Predict", "Classify", "Regress", "MultiInference",
             "SessionRun", "SystemSharedMemoryStatus", "SystemSharedMemoryRegister",
             "SystemSharedMemoryUnregister")) {
    return Operation::kInfer;
  }
  if (path.starts_with("/grpc.reflection.") ||
      is_one("ServerMetadata", "ModelMetadata", "ModelConfig", "ModelStatistics", "RepositoryIndex",
             "GetModelMetadata", "GetModelStatus")) {
    return Operation::kMetadata;
  }
  return Operation::kControl;
}

}  // namespace

grpc::Status GrpcAccess::Process(const InputMetadata& metadata, grpc::AuthContext*,
                                 OutputMetadata* consumed, OutputMetadata*) {
  const auto value = [&](const char* name) -> std::string_view {
    const auto it = metadata.find(name);
    if (it == metadata.end()) return {};
    return {it->second.data(), it->second.size()};
  };
  const std::shared_ptr<const Access> access = access_.get();
  const std::string_view token = serving::bearer_token(value("authorization"));
  const Operation operation = operation_of(value(":path"));
  const Access::Decision decision =
      access->check(token.empty() ? value("x-api-key") : token, operation, {});
  const std::string reason(decision.reason);
  // What follows has no business with the secret.
  for (const char* name : {"authorization", "x-api-key"}) {
    if (const std::string_view secret = value(name); !secret.empty()) {
      consumed->emplace(name, std::string(secret));
    }
  }
  switch (decision.verdict) {
    case Access::Verdict::kUnauthenticated:
      return {grpc::StatusCode::UNAUTHENTICATED, reason};
    case Access::Verdict::kForbidden:
      return {grpc::StatusCode::PERMISSION_DENIED, reason};
    case Access::Verdict::kTooMany:
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, reason};
    case Access::Verdict::kGranted:
      break;
  }
  if (decision.key != nullptr && !decision.key->models.empty() &&
      operation != Operation::kMetadata) {
    return {grpc::StatusCode::PERMISSION_DENIED,
            "this key is good for some models only, which it can use over HTTP, but not here"};
  }
  return grpc::Status::OK;
}

}  // namespace kerf::server
