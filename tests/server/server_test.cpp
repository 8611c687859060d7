#include "server/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/json/parse.hpp>
#include <string>
#include <thread>
#include <vector>

#include "kerf/error.h"
#include "tests/protocol/golden.h"
#include "tests/server/running.h"

namespace kerf::server {
namespace {

using namespace std::chrono_literals;
using protocol::golden_arrays;
using protocol::json_input;

TEST(Server, SaysAtOnceThatAPortIsTaken) {
  const Server free({.port = 0});
  EXPECT_GT(free.port(), 0);
  EXPECT_EQ(free.url(), "http://127.0.0.1:" + std::to_string(free.port()));
  const Running first({"recommender"});
  first.ask(get("/v2"));
  try {
    const Server second({.port = first.port()});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
    EXPECT_THAT(error.what(), testing::HasSubstr(std::to_string(first.port())));
  }
  EXPECT_THROW(Server({.address = "nowhere"}), Error);
}

TEST(Server, StopsBeforeItHasBegun) {
  Server server({.port = 0, .handle_signals = false});
  server.stop();
  server.serve(std::make_shared<serving::Repository>());
}

// Full, head and tail predictions of two models from 64 connections at once, every reply byte for
// byte what one connection alone was told.
TEST(Server, ManyConnectionsGetWhatOneGets) {
  Running running({"recommender", "small_cnn"}, {.io_threads = 2, .worker_threads = 2});
  const auto recommender = golden_arrays("recommender");
  const auto image = golden_arrays("small_cnn");
  const std::string both = json_input("Segment", recommender.at("input_0")) + "," +
                           json_input("Features", recommender.at("input_1"));
  const auto call = [](const std::string& model, const std::string& inputs,
                       const std::string& outputs) {
    return post("/v2/models/" + model + "/infer",
                R"({"inputs":[)" + inputs + "]" +
                    (outputs.empty() ? "" : R"(,"outputs":[{"name":")" + outputs + "\"}]") + "}");
  };
  const std::vector<std::string> requests{
      call("recommender", both, ""),
      call("recommender", json_input("Segment", recommender.at("input_0")), "Embedding-Segment"),
      call("recommender", both, "dense_hidden"),
      call("recommender", json_input("dense_hidden", recommender.at("layer_0003")), ""),
      call("small_cnn", json_input("input_layer", image.at("input_0")), ""),
      call("small_cnn", json_input("input_layer", image.at("input_0")), "global_average_pooling2d"),
  };
  std::vector<std::string> expected;
  for (const std::string& request : requests) {
    const Received reply = running.ask(request);
    ASSERT_EQ(reply.status, 200) << reply.body;
    expected.push_back(reply.body);
  }

  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 64; ++t) {
    threads.emplace_back([&, t] {
      Client client = running.connect();
      for (std::size_t i = 0; i < 24; ++i) {
        const std::size_t which = (t + i) % requests.size();
        client.send(requests[which]);
        const Received reply = client.receive();
        if (reply.status != 200 || reply.body != expected[which]) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// New cuts of a model, asked for by many at once.
TEST(Server, ManyConnectionsMayWantTheSameNewCut) {
  Running running({"recommender"}, {.io_threads = 2, .worker_threads = 2});
  const auto arrays = golden_arrays("recommender");
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      Client client = running.connect();
      for (const char* output : {"flat", "concat", "dense_hidden", "Embedding-Segment"}) {
        client.send(post("/v2/models/recommender/infer",
                         R"({"inputs":[)" + json_input("Segment", arrays.at("input_0")) + "," +
                             json_input("Features", arrays.at("input_1")) +
                             R"(],"outputs":[{"name":")" + output + "\"}]}"));
        if (client.receive().status != 200) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Server, RefusesConnectionsBeyondItsLimit) {
  Running running({"recommender"}, {.io_threads = 1, .max_connections = 2});
  Client first = running.connect();
  Client second = running.connect();
  for (Client* client : {&first, &second}) {
    client->send(get("/v2"));
    EXPECT_EQ(client->receive().status, 200);
  }
  Client third = running.connect();
  third.send(get("/v2"));
  const Received reply = third.receive();
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.header("Retry-After"), "1");
  EXPECT_THAT(reply.body, testing::HasSubstr("connections"));
  first.send(get("/v2"));
  EXPECT_EQ(first.receive().status, 200);
}

TEST(Server, SaysThatItsQueueIsFull) {
  ServerOptions options{.io_threads = 1, .worker_threads = 1};
  options.limits.queue_length = 0;
  Running running({"recommender"}, options);
  // The graph is described by a worker.
  const Received reply = running.ask(get("/v2/models/recommender/graph"));
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.header("Retry-After"), "1");
  EXPECT_THAT(reply.body, testing::HasSubstr("queue is full"));
  EXPECT_EQ(running.ask(get("/v2")).status, 200);
}

TEST(Server, DrainsWhenItStops) {
  Running running({"recommender"}, {.io_threads = 1, .worker_threads = 1});
  Client idle = running.connect();
  idle.send(get("/v2"));
  EXPECT_EQ(idle.receive().status, 200);
  // A request that has begun when the stop comes is answered, and told to close.
  Client begun = running.connect();
  const std::string request = get("/v2/health/ready");
  begun.send(request.substr(0, 20));
  std::this_thread::sleep_for(100ms);
  running.begin_stop();
  EXPECT_TRUE(idle.closed());
  EXPECT_THROW(Client(running.port()), std::runtime_error);
  begun.send(request.substr(20));
  const Received reply = begun.receive();
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.body, R"({"ready":false,"error":"the server is shutting down"})");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(begun.closed());
  running.wait();
}

TEST(Server, DrainsNoLongerThanItMay) {
  Running running({"recommender"}, {.io_threads = 1, .drain_timeout = 100ms});
  Client stuck = running.connect();
  stuck.send("GET /v2 HTTP/1.1\r\n");
  std::this_thread::sleep_for(50ms);
  running.stop();
  EXPECT_TRUE(stuck.closed());
}

}  // namespace
}  // namespace kerf::server
