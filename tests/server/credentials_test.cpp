#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "serving/access.h"
#include "tests/server/running.h"

// Every endpoint, asked with a key that is missing, wrong, expired, or not good for it.
namespace kerf::server {
namespace {

using Endpoints = std::vector<std::pair<std::string, std::string>>;  // method and target

const Endpoints kOfModel{
    {"GET", "/v2/models/recommender"},
    {"GET", "/v2/models/recommender/versions/1"},
    {"GET", "/v2/models/recommender/config"},
    {"GET", "/v2/models/recommender/graph"},
    {"GET", "/v2/models/recommender/stats"},
    {"POST", "/v2/models/recommender/infer"},
    {"POST", "/v2/models/recommender/versions/1/infer"},
    {"GET", "/v1/models/recommender"},
    {"GET", "/v1/models/recommender/metadata"},
    {"POST", "/v1/models/recommender:predict"},
    {"POST", "/v1/models/recommender:classify"},
    {"POST", "/v1/models/recommender:regress"},
    {"POST", "/v1/models/recommender/versions/1:predict"},
    // Written in another way.
    {"GET", "/v2/models/%72ecommender"},
    {"POST", "/v2/models/recommender/infer?x=/v2/health/live"},
};
const Endpoints kOfServer{
    {"GET", "/v2"},
    {"GET", "/v2/"},
    {"GET", "/v2/models"},
    {"GET", "/v2/models/stats"},
    {"POST", "/v2/repository/index"},
    {"GET", "/v2/systemsharedmemory/status"},
    {"POST", "/v2/systemsharedmemory/region/r/register"},
    {"POST", "/v2/systemsharedmemory/unregister"},
    {"GET", "/v2/cudasharedmemory/status"},
    {"GET", "/metrics"},
    {"GET", "/openapi.json"},
    {"GET", "/docs"},
    {"GET", "/nothing"},
    {"GET", "/v1/nothing"},
    {"GET", "/v2/health/live/../../models"},
};
const Endpoints kOfControl{
    {"POST", "/v2/repository/models/recommender/load"},
    {"POST", "/v2/repository/models/recommender/unload"},
    {"GET", "/v2/logging"},
    {"POST", "/v2/logging"},
    {"GET", "/v2/trace/setting"},
    {"POST", "/v2/trace/setting"},
};

class CredentialsTest : public testing::Test {
 protected:
  CredentialsTest() {
    using namespace std::chrono_literals;
    const auto now = std::chrono::system_clock::now();
    running_.set_access(serving::Access({
        {.name = "good", .hash = serving::hash_key("good"), .expires = now + 1h},
        {.name = "old", .hash = serving::hash_key("old"), .expires = now - 1h},
        {.name = "other", .hash = serving::hash_key("other"), .models = {"other"}},
    }));
  }

  int status(const std::pair<std::string, std::string>& endpoint,
             const std::string& headers) const {
    return running_
        .ask(endpoint.first + " " + endpoint.second + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
             "Content-Length: 2\r\n\r\n{}")
        .status;
  }

  Running running_{{"recommender"}, {.io_threads = 1, .worker_threads = 1}};
};

TEST_F(CredentialsTest, EveryEndpointWantsAGoodKey) {
  for (const Endpoints* endpoints : {&kOfModel, &kOfServer, &kOfControl}) {
    for (const auto& endpoint : *endpoints) {
      for (const char* headers :
           {"", "Authorization: Bearer wrong\r\n", "Authorization: Bearer old\r\n",
            "X-API-Key: old\r\n", "X-API-Key: goo\r\n", "X-API-Key: good \t.\r\n",
            "Authorization: Bearer \r\n", "Authorization: Basic good\r\n",
            "Authorization: Bearer goodgood\r\n", "Cookie: X-API-Key=good\r\n"}) {
        EXPECT_EQ(status(endpoint, headers), 401) << endpoint.second << ' ' << headers;
      }
    }
  }
}

TEST_F(CredentialsTest, AKeyIsGoodForItsModelsAndNoControl) {
  for (const auto& endpoint : kOfModel) {
    EXPECT_EQ(status(endpoint, "X-API-Key: other\r\n"), 403) << endpoint.second;
    EXPECT_NE(status(endpoint, "X-API-Key: good\r\n"), 403) << endpoint.second;
    EXPECT_NE(status(endpoint, "X-API-Key: good\r\n"), 401) << endpoint.second;
  }
  for (const auto& endpoint : kOfControl) {
    EXPECT_EQ(status(endpoint, "X-API-Key: good\r\n"), 403) << endpoint.second;
  }
  EXPECT_EQ(status({"GET", "/v2/models"}, "X-API-Key: good\r\n"), 200);
  EXPECT_EQ(status({"GET", "/v2/health/ready"}, ""), 200);
}

// A key that ends while a connection is open ends there too.
TEST_F(CredentialsTest, AnOpenConnectionIsAskedEachTime) {
  Client client = running_.connect();
  const std::string request = get("/v2/models", "X-API-Key: good\r\n");
  client.send(request);
  EXPECT_EQ(client.receive().status, 200);
  client.send(get("/v2/models"));
  EXPECT_EQ(client.receive().status, 401);
  running_.set_access(serving::Access({{.name = "new", .hash = serving::hash_key("new")}}));
  client.send(request);
  EXPECT_EQ(client.receive().status, 401);
}

}  // namespace
}  // namespace kerf::server
