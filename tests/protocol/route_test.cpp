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
  for (const char* target : {"",
                             "/",
                             "*",
                             "/v1",
                             "/v2x",
                             "/V2",
                             "/v2/health",
                             "/v2/health/lives",
                             "/v2/models//infer",
                             "/v2/models/m/infer/x",
                             "/v2/models/m/infers",
                             "/v2/models/m/versions",
                             "/v2/models/%",
                             "/v2/models/%4",
                             "/v2/models/%zz",
                             "/v2/models/m/versions//infer",
                             "/v2/../v2",
                             "/v2/repository",
                             "/v2/metrics",
                             "http://host"}) {
    route.read(target);
    EXPECT_EQ(route.endpoint, Endpoint::kUnknown) << target;
  }
}

}  // namespace
}  // namespace kerf::protocol
