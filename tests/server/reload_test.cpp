#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/server.h"
#include "tests/protocol/golden.h"
#include "tests/server/client.h"
#include "tests/server/running.h"
#include "tests/serving/model_folder.h"

namespace kerf::server {
namespace {

using protocol::golden_arrays;
using protocol::json_input;

// A share that CI has time for; KERF_REQUESTS=1000000 is the whole.
std::size_t request_count() {
  const char* wanted = std::getenv("KERF_REQUESTS");
  return wanted == nullptr ? 20'000 : std::stoul(wanted);
}

// Requests to two models while one of them is loaded again and again: none fails, and each gets the
// bytes that it got before.
TEST(Reload, NoRequestFailsOrIsWrong) {
  constexpr int kReloads = 200;
  constexpr std::size_t kClients = 4;
  const serving::ModelFolder folder;
  folder.put("recommender.keras", "recommender");
  folder.put("small_cnn.keras", "small_cnn");
  const auto repository = std::make_shared<serving::Repository>(
      serving::RepositorySettings{.control = serving::ModelControl::kExplicit});
  ASSERT_THAT(repository->configure({{.name = {}, .path = folder.path()}}), testing::IsEmpty());
  const Running running(repository, {.io_threads = 2, .worker_threads = 2});

  const auto arrays = golden_arrays("recommender");
  const auto image = golden_arrays("small_cnn");
  const std::vector<std::string> requests{
      post("/v2/models/recommender/infer", R"({"inputs":[)" +
                                               json_input("Segment", arrays.at("input_0")) + "," +
                                               json_input("Features", arrays.at("input_1")) + "]}"),
      post("/v2/models/recommender/infer",
           R"({"inputs":[)" + json_input("dense_hidden", arrays.at("layer_0003")) + "]}"),
      post("/v2/models/small_cnn/infer",
           R"({"inputs":[)" + json_input("input_layer", image.at("input_0")) + "]}")};
  std::vector<std::string> expected;
  for (const std::string& request : requests) {
    const Received reply = running.ask(request);
    ASSERT_EQ(reply.status, 200) << reply.body;
    expected.push_back(reply.body);
  }

  std::atomic<std::size_t> answered = 0;
  std::atomic<int> wrong = 0;
  std::atomic<bool> reloaded = false;
  std::vector<std::thread> clients;
  for (std::size_t c = 0; c < kClients; ++c) {
    clients.emplace_back([&, c] {
      Client client = running.connect();
      for (std::size_t i = c; !reloaded || answered < request_count(); ++i) {
        const std::size_t which = i % requests.size();
        client.send(requests[which]);
        const Received reply = client.receive();
        if (reply.status != 200 || reply.body != expected[which]) ++wrong;
        ++answered;
      }
    });
  }
  for (int i = 0; i < kReloads; ++i) {
    const auto old = repository->snapshot()->find("recommender");
    repository->load_model("recommender");
    EXPECT_NE(repository->snapshot()->find("recommender"), old);
    // Spread over the requests.
    while (answered < request_count() * static_cast<std::size_t>(i) / kReloads) {
      std::this_thread::yield();
    }
  }
  reloaded = true;
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(answered, request_count());
}

// A connection that has nothing to ask does not keep what was replaced.
TEST(Reload, IdleConnectionsHoldNoOldVersion) {
  const serving::ModelFolder folder;
  folder.put("m.keras", "recommender");
  const auto repository = std::make_shared<serving::Repository>(
      serving::RepositorySettings{.control = serving::ModelControl::kExplicit});
  repository->configure({{.name = {}, .path = folder.path()}});
  const Running running(repository, {.io_threads = 1, .worker_threads = 1});
  Client idle = running.connect();
  idle.send(post("/v2/models/m/infer",
                 R"({"inputs":[{"name":"Segment","datatype":"INT32","shape":[1,1],"data":[1]}],)"
                 R"("outputs":[{"name":"flat"}]})"));
  ASSERT_EQ(idle.receive().status, 200);
  const std::weak_ptr<const serving::ServedModel> old = repository->snapshot()->find("m");
  repository->load_model("m");
  for (int i = 0; i < 1000 && !old.expired(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(old.expired());
  idle.send(get("/v2/models/m"));
  EXPECT_EQ(idle.receive().status, 200);
}

// What is loaded while others are served: the server lives, and is ready when all is there.
TEST(Reload, IsReadyWhenEveryModelIs) {
  const serving::ModelFolder folder;
  folder.put("m.keras", "recommender");
  const auto repository = std::make_shared<serving::Repository>();
  const Running running(repository, {.io_threads = 1, .worker_threads = 1});
  EXPECT_EQ(running.ask(get("/v2/health/live")).status, 200);
  Received ready = running.ask(get("/v2/health/ready"));
  EXPECT_EQ(ready.status, 503);
  EXPECT_THAT(ready.body, testing::HasSubstr("loading"));
  EXPECT_EQ(running.ask(get("/v2/models/m")).status, 404);
  repository->configure({{.name = {}, .path = folder.path()}});
  EXPECT_EQ(running.ask(get("/v2/health/ready")).status, 200);
  EXPECT_EQ(running.ask(get("/v2/models/m")).status, 200);
}

// Idle connections cost memory, and nothing else: KERF_IDLE=10000 is the whole.
TEST(Reload, ManyIdleConnectionsKeepNobodyFromBeingServed) {
  const char* wanted = std::getenv("KERF_IDLE");
  const std::size_t count = wanted == nullptr ? 400 : std::stoul(wanted);
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  const Running running({"recommender"}, {.io_threads = 2, .max_connections = count + 10});
  std::vector<Client> idle;
  for (std::size_t i = 0; i < count; ++i) {
    idle.push_back(running.connect());
    if (i % 3 == 1) idle.back().send("GET /v2 HT");
    if (i % 3 == 2) idle.back().finish();
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(running.ask(get("/v2/models/recommender")).status, 200);
}

}  // namespace
}  // namespace kerf::server
