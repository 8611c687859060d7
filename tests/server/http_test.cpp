#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <string>

#include "tests/server/running.h"

// What a well-behaved client may do over one connection, and what the server promises for it.
namespace kerf::server {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr const char* kInfer = "/v2/models/recommender/infer";
const std::string kSegment =
    R"({"inputs":[{"name":"Segment","shape":[1,1],"datatype":"INT32","data":[3]}],)"
    R"("outputs":[{"name":"Embedding-Segment"}]})";

class HttpTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    running_ = new Running({"recommender", "small_cnn"}, {.io_threads = 2, .worker_threads = 2});
  }
  static void TearDownTestSuite() { delete running_; }
  static inline Running* running_ = nullptr;
};

TEST_F(HttpTest, AnswersWithStatusTypeAndLength) {
  const Received reply = running_->ask(get("/v2/health/ready"));
  EXPECT_THAT(reply.head, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  EXPECT_EQ(reply.header("Content-Length"), std::to_string(reply.body.size()));
  EXPECT_EQ(reply.header("Connection"), "");
  EXPECT_EQ(reply.body, "{\"ready\":true}");
}

TEST_F(HttpTest, KeepsConnectionsOpen) {
  Client client = running_->connect();
  std::string first;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(client.send(post(kInfer, kSegment)));
    const Received reply = client.receive();
    ASSERT_EQ(reply.status, 200) << reply.body;
    if (first.empty()) first = reply.body;
    EXPECT_EQ(reply.body, first);
  }
}

TEST_F(HttpTest, AnswersPipelinedRequestsInOrder) {
  Client client = running_->connect();
  std::string requests;
  for (int i = 0; i < 200; ++i) {
    const std::string id = R"(,"id":")" + std::to_string(i) + "\"}";
    requests += post(kInfer, kSegment.substr(0, kSegment.size() - 1) + id);
    if (i % 3 == 0) requests += "\r\n";  // some clients end bodies with a line break
  }
  ASSERT_TRUE(client.send(requests));
  for (int i = 0; i < 200; ++i) {
    const Received reply = client.receive();
    ASSERT_EQ(reply.status, 200) << i << reply.body;
    EXPECT_EQ(boost::json::parse(reply.body).at("id").as_string(), std::to_string(i));
  }
}

// Heads that repeat but for their length are not parsed again; whatever else changes is seen.
TEST_F(HttpTest, SeesWhatChangesInHeadsThatRepeat) {
  const auto with_id = [](std::string_view id) {
    return kSegment.substr(0, kSegment.size() - 1) + R"(,"id":")" + std::string(id) + "\"}";
  };
  Client client = running_->connect();
  const auto ask = [&](const std::string& request) {
    client.send(request);
    return client.receive();
  };
  for (const std::string_view id : {"1", "12", "123", "1", "", "12"}) {
    const Received reply = ask(post(kInfer, with_id(id)));
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(boost::json::parse(reply.body).at("id").as_string(), id);
  }
  const std::string same = post(kInfer, with_id("1"));
  std::string other_model = same;
  other_model.replace(other_model.find("recommender"), 11, "recommendez");
  EXPECT_EQ(ask(other_model).status, 404);
  EXPECT_EQ(ask(same).status, 200);
  std::string other_length = same;
  other_length.replace(other_length.find("Content-Length: 1") + 16, 1, "x");
  EXPECT_EQ(ask(other_length).status, 400);
  EXPECT_TRUE(client.closed());
}

// A client that has said all it wants still gets the reply, beside others that stay.
TEST_F(HttpTest, AnswersWhoSendsNoMore) {
  Client others = running_->connect();
  Client others_too = running_->connect();
  for (int i = 0; i < 20; ++i) {
    Client client = running_->connect();
    client.send(post(kInfer, kSegment));
    client.finish();
    EXPECT_EQ(client.receive().status, 200);
    EXPECT_TRUE(client.closed());
  }
}

TEST_F(HttpTest, TakesRequestsByteByByte) {
  Client client = running_->connect();
  for (const char byte : post(kInfer, kSegment)) ASSERT_TRUE(client.send({&byte, 1}));
  EXPECT_EQ(client.receive().status, 200);
}

TEST_F(HttpTest, TakesChunkedBodies) {
  Client client = running_->connect();
  for (std::size_t size : {1, 7, 100, 100000}) {
    std::string request = "POST " + std::string(kInfer) +
                          " HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    char length[32];
    for (std::size_t at = 0; at < kSegment.size(); at += size) {
      const std::string part = kSegment.substr(at, size);
      std::snprintf(length, sizeof length, "%zx;name=\"value\"\r\n", part.size());
      request += length + part + "\r\n";
    }
    request += "0\r\nContent-Encoding: br\r\nX-Trailer: ignored\r\n\r\n";
    // Two at once, the second in pieces.
    ASSERT_TRUE(client.send(request + request.substr(0, request.size() / 2)));
    const Received reply = client.receive();
    EXPECT_EQ(reply.status, 200) << reply.body;
    ASSERT_TRUE(client.send(request.substr(request.size() / 2)));
    EXPECT_EQ(client.receive().body, reply.body);
  }
}

TEST_F(HttpTest, AnswersExpectContinue) {
  Client client = running_->connect();
  const std::string request = post(kInfer, kSegment, "Expect: 100-continue\r\n");
  const std::size_t head = request.find("\r\n\r\n") + 4;
  ASSERT_TRUE(client.send(request.substr(0, head)));
  const Received first = client.receive();
  EXPECT_EQ(first.status, 100);
  ASSERT_TRUE(client.send(request.substr(head)));
  EXPECT_EQ(client.receive().status, 200);
  // A body that came without waiting needs no invitation.
  ASSERT_TRUE(client.send(request));
  EXPECT_EQ(client.receive().status, 200);
}

TEST_F(HttpTest, RefusesBeforeInvitingABodyThatIsTooLarge) {
  Client client = running_->connect();
  client.send("POST " + std::string(kInfer) +
              " HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n");
  EXPECT_EQ(client.receive().status, 413);
}

TEST_F(HttpTest, AnswersHeadWithoutABody) {
  Client client = running_->connect();
  client.send("HEAD /v2/models HTTP/1.1\r\nHost: h\r\n\r\n");
  const Received head = client.receive(true);
  EXPECT_EQ(head.status, 200);
  client.send(get("/v2/models"));
  EXPECT_EQ(head.header("Content-Length"), std::to_string(client.receive().body.size()));
}

TEST_F(HttpTest, ClosesWhenAskedTo) {
  Client client = running_->connect();
  client.send(get("/v2", "Connection: close\r\n"));
  const Received reply = client.receive();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.closed());
}

TEST_F(HttpTest, SpeaksHttp10) {
  Client once = running_->connect();
  once.send("GET /v2 HTTP/1.0\r\n\r\n");
  EXPECT_EQ(once.receive().header("Connection"), "close");
  EXPECT_TRUE(once.closed());
  Client kept = running_->connect();
  for (int i = 0; i < 3; ++i) {
    kept.send("GET /v2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(kept.receive().header("Connection"), "keep-alive");
  }
}

TEST_F(HttpTest, HeaderNamesHaveNoCase) {
  const std::string json =
      R"({"inputs":[{"name":"Segment","shape":[1,1],"datatype":"INT32",)"
      R"("parameters":{"binary_data_size":4}}],"outputs":[{"name":"Embedding-Segment",)"
      R"("parameters":{"binary_data":true}}]})";
  for (const char* name : {"Inference-Header-Content-Length", "inference-header-content-length"}) {
    const Received reply =
        running_->ask(post(kInfer, json + std::string("\3\0\0\0", 4),
                           std::string(name) + ": " + std::to_string(json.size()) + "\r\n"));
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.header("Content-Type"), "application/octet-stream");
    const std::size_t length = std::stoul(reply.header("Inference-Header-Content-Length"));
    EXPECT_EQ(reply.body.size(), length + 8 * sizeof(float));
  }
}

TEST_F(HttpTest, CompressesWhatIsAskedForCompressed) {
  const Received plain = running_->ask(get("/v2/models/recommender/graph"));
  const Received packed =
      running_->ask(get("/v2/models/recommender/graph", "Accept-Encoding: gzip\r\n"));
  EXPECT_EQ(packed.header("Content-Encoding"), "gzip");
  EXPECT_LT(packed.body.size(), plain.body.size());
  const Received unknown = running_->ask(post(kInfer, kSegment, "Content-Encoding: zstd\r\n"));
  EXPECT_EQ(unknown.status, 415);
  EXPECT_EQ(unknown.header("Accept-Encoding"), "gzip, deflate");
}

// A batch whose request and reply both exceed any buffer of the kernel.
TEST_F(HttpTest, MovesLargeBodies) {
  constexpr int kRows = 20000;
  std::string data;
  for (int i = 0; i < kRows; ++i) data += (i == 0 ? "" : ",\n      ") + std::to_string(i % 10);
  const std::string body = R"({"inputs":[{"name":"Segment","shape":[)" + std::to_string(kRows) +
                           R"(,1],"datatype":"INT32","data":[)" + data +
                           R"(]}],"outputs":[{"name":"Embedding-Segment"}]})";
  Client client = running_->connect();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(client.send(post(kInfer, body)));
    const Received reply = client.receive();
    ASSERT_EQ(reply.status, 200) << reply.body.substr(0, 300);
    EXPECT_GT(reply.body.size(), 1'000'000U);
    const boost::json::value output = boost::json::parse(reply.body).at("outputs").at(0);
    EXPECT_EQ(output.at("data").as_array().size(), kRows * 8U);
    EXPECT_EQ(output.at("data").at(3), output.at("data").at(3 + 80));
  }
  ASSERT_TRUE(client.send(get("/v2")));
  EXPECT_EQ(client.receive().status, 200);
}

}  // namespace
}  // namespace kerf::server
