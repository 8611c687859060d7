#include "protocol/route.h"

#include <gtest/gtest.h>

namespace kerf::protocol {
namespace {

struct Case {
  const char* target;
  Endpoint endpoint;
  const char* model = "";
  const char* version = "";
};

TEST(Route, ReadsTheProtocolsPaths) {
  const Case cases[] = {
      {"/v2", Endpoint::kServerMetadata},
      {"/v2/", Endpoint::kServerMetadata},
      {"/v2/health/live", Endpoint::kLive},
      {"/v2/health/ready", Endpoint::kReady},
      {"/v2/health/ready?verbose=1", Endpoint::kReady},
      {"/v2/models", Endpoint::kModels},
      {"/v2/models/", Endpoint::kModels},
      {"/v2/repository/index", Endpoint::kRepositoryIndex},
      {"/v2/models/m", Endpoint::kModelMetadata, "m"},
      {"/v2/models/m/", Endpoint::kModelMetadata, "m"},
      {"/v2/models/m/ready", Endpoint::kModelReady, "m"},
      {"/v2/models/m/infer", Endpoint::kInfer, "m"},
      {"/v2/models/m/graph", Endpoint::kModelGraph, "m"},
      {"/v2/models/m/versions/3", Endpoint::kModelMetadata, "m", "3"},
      {"/v2/models/m/versions/3/ready", Endpoint::kModelReady, "m", "3"},
      {"/v2/models/m/versions/3/infer", Endpoint::kInfer, "m", "3"},
      {"/v2/models/my%20model%2Fb/infer", Endpoint::kInfer, "my model/b"},
      {"/v2/models/ready/ready", Endpoint::kModelReady, "ready"},
      {"/v2/models/models", Endpoint::kModelMetadata, "models"},
      {"http://host:8000/v2/models/m/infer", Endpoint::kInfer, "m"},
      {"/v2/models/m/versions/3/config", Endpoint::kModelConfig, "m", "3"},
      {"/v2/repository/models/m/load", Endpoint::kModelLoad, "m"},
      {"/v2/repository/models/my%20model/unload", Endpoint::kModelUnload, "my model"},
      {"/v2/trace/setting", Endpoint::kTraceSettings},
      {"/v2/models/m/trace/setting", Endpoint::kTraceSettings, "m"},
      {"/v2/logging", Endpoint::kLogSettings},
      {"/v2/models/stats", Endpoint::kStatistics},
      {"/v2/models/m/versions/3/stats", Endpoint::kStatistics, "m", "3"},
      {"/v2/systemsharedmemory/status", Endpoint::kSharedMemoryStatus},
      {"/v2/systemsharedmemory/region/r/register", Endpoint::kSharedMemoryRegister},
      {"/v2/systemsharedmemory/unregister", Endpoint::kSharedMemoryUnregister},
      {"/v2/cudasharedmemory/region/r/register", Endpoint::kCudaSharedMemory},
      {"/v1/models/m", Endpoint::kTensorflowStatus, "m"},
      {"/v1/models/m/versions/007", Endpoint::kTensorflowStatus, "m", "7"},
      {"/v1/models/m/labels/canary/metadata", Endpoint::kTensorflowMetadata, "m"},
      {"/v1/models/my%20model:predict", Endpoint::kPredict, "my model"},
      {"/v1/models/m/versions/3:classify", Endpoint::kClassify, "m", "3"},
      {"/v1/models/m/labels/canary:regress?x=y", Endpoint::kRegress, "m"},
  };
  Route route;
  for (const Case& expected : cases) {
    route.read(expected.target);
    EXPECT_EQ(route.endpoint, expected.endpoint) << expected.target;
    EXPECT_EQ(route.model, expected.model) << expected.target;
    EXPECT_EQ(route.version, expected.version) << expected.target;
  }
}

TEST(Route, KnowsNoOtherPaths) {
  Route route;
  for (const char* target :
       {"", "/", "*", "/v2x", "/V2", "/v2/health", "/v2/health/lives", "/v2/models//infer",
        "/v2/models/m/infer/x", "/v2/models/m/infers", "/v2/models/m/versions", "/v2/models/%",
        "/v2/models/%4", "/v2/models/%zz", "/v2/models/m/versions//infer", "/v2/../v2",
        "/v2/repository", "/v2/metrics", "http://host"}) {
    route.read(target);
    EXPECT_EQ(route.endpoint, Endpoint::kUnknown) << target;
  }
}

TEST(Route, TakesWhatIsUnderV1ForMalformedCalls) {
  Route route;
  for (const char* target :
       {"/v1", "/v1/models", "/v1/models/:predict", "/v1/models/m:explain", "/v1/models/m:predict/",
        "/v1/models/m/versions/x:predict", "/v1/models/m/versions/12345678901234567890",
        "/v1/models/m/versions/1/labels/l", "/v1/models/m/metadata:predict", "/v1/models/%zz"}) {
    route.read(target);
    EXPECT_EQ(route.endpoint, Endpoint::kMalformed) << target;
  }
}

TEST(Route, FindsWhatIsBesideTheProtocol) {
  Route route;
  route.read("/metrics");
  EXPECT_EQ(route.endpoint, Endpoint::kMetrics);
  route.read("/openapi.json");
  EXPECT_EQ(route.endpoint, Endpoint::kOpenApi);
  route.read("/docs");
  EXPECT_EQ(route.endpoint, Endpoint::kApiPage);
  route.read("/metrics/more");
  EXPECT_EQ(route.endpoint, Endpoint::kUnknown);
}

}  // namespace
}  // namespace kerf::protocol
