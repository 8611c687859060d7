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
  kModelLoad,        // POST /v2/repository/models/MODEL/load
  kModelUnload,
  kTraceSettings,
  kLogSettings,
  kSharedMemoryStatus,
  kSharedMemoryRegister,
  kSharedMemoryUnregister,
  kCudaSharedMemory,
  kModelReady,
  kModelMetadata,
  kModelConfig,
  kStatistics,  // of one model or, at /v2/models/stats, of all
  kModelGraph,
  kInfer,
  // TensorFlow Serving's, below /v1/models.
  kMalformed,  // under /v1/, but none of them
  kTensorflowStatus,
  kTensorflowMetadata,
  kPredict,
  kClassify,
  kRegress,
  // Beside the protocols.
  kMetrics,  // GET /metrics
  kOpenApi,  // GET /openapi.json
  kApiPage,  // GET /docs
};

// Which endpoint a request's target means, and for which model. Reused from request to request.
struct Route {
  Endpoint endpoint = Endpoint::kUnknown;
  std::string model;
  std::string version;  // empty if the target names none
  std::string label;    // of a version; likewise
  std::string region;   // of shared memory; likewise

  // Reads a target: its query is ignored, its segments are percent-decoded.
  void read(std::string_view target);

 private:
  void read_tensorflow(std::string_view path);
};

// The methods an endpoint takes, as the Allow header lists them.
std::string_view allowed_methods(Endpoint endpoint) noexcept;

}  // namespace kerf::protocol
