#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace kerf::protocol {

enum class Endpoint : std::uint8_t {
  kUnknown,
  kLive,
  kReady,
  kServerMetadata,
  kModels,           // GET /v2/models
  kRepositoryIndex,  // POST /v2/repository/index
  kModelReady,
  kModelMetadata,
  kModelGraph,
  kInfer,
};

// Which endpoint a request's target means, and for which model. Reused from request to request.
struct Route {
  Endpoint endpoint = Endpoint::kUnknown;
  std::string model;
  std::string version;  // empty if the target names none

  // Reads a target: its query is ignored, its segments are percent-decoded.
  void read(std::string_view target);
};

// The methods an endpoint takes, as the Allow header lists them.
std::string_view allowed_methods(Endpoint endpoint) noexcept;

}  // namespace kerf::protocol
