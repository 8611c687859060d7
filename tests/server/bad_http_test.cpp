#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "tests/server/running.h"

// What clients do wrong, by mistake or on purpose. Each gets an error in the promised form, and the
// server goes on serving.
namespace kerf::server {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

constexpr const char* kInfer = "/v2/models/recommender/infer";
const std::string kBody =
    R"({"inputs":[{"name":"Segment","shape":[1,1],"datatype":"INT32","data":[3]}],)"
    R"("outputs":[{"name":"Embedding-Segment"}]})";

class BadHttpTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    ServerOptions options{.io_threads = 1, .worker_threads = 1};
    options.limits.request_bytes = 100'000;
    options.request_timeout = 1s;
    options.idle_timeout = 2s;
    running_ = new Running({"recommender"}, options);
  }
  static void TearDownTestSuite() { delete running_; }

  // The server answers a good request on another connection.
  static void expect_serving() {
    const Received reply = running_->ask(post(kInfer, kBody));
    EXPECT_EQ(reply.status, 200) << reply.body;
  }

  static void expect_error(const Received& reply, int status, const std::string& text) {
    EXPECT_EQ(reply.status, status) << reply.head << reply.body;
    ASSERT_FALSE(reply.body.empty());
    EXPECT_EQ(reply.header("Content-Type"), "application/json");
    const boost::json::value json = boost::json::parse(reply.body);
    EXPECT_EQ(json.as_object().size(), 1U);
    EXPECT_THAT(std::string(json.at("error").as_string()), HasSubstr(text));
  }

  static inline Running* running_ = nullptr;
};

struct Case {
  std::string name;
  std::string bytes;
  int status;
  std::string text;
  bool closes = true;
};

std::string infer(const std::string& body) { return post(kInfer, body); }

std::string input(const std::string& entry) {
  return infer(R"({"inputs":[)" + entry + R"(],"outputs":[{"name":"Embedding-Segment"}]})");
}

std::vector<Case> cases() {
  const std::string start = "POST " + std::string(kInfer) + " HTTP/1.1\r\n";
  const std::string chunked = start + "Transfer-Encoding: chunked\r\n\r\n";
  const std::string binary =
      R"({"inputs":[{"name":"Segment","shape":[1,1],"datatype":"INT32",)"
      R"("parameters":{"binary_data_size":4}}],"outputs":[{"name":"Embedding-Segment"}]})";
  const auto binary_post = [&](const std::string& length, const std::string& blob) {
    return post(kInfer, binary + blob, "Inference-Header-Content-Length: " + length + "\r\n");
  };
  const std::string size = std::to_string(binary.size());
  return {
      // What is not HTTP.
      {"TlsHello", std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11), 400,
       "HTTP/1.1"},
      {"Zeros", std::string(64, '\0'), 400, "HTTP/1.1"},
      {"BareLineFeeds", "GET /v2 HTTP/1.1\n\n", 400, "HTTP"},
      {"NoVersion", "GET /v2\r\n\r\n", 400, "HTTP"},
      {"OldVersion", "GET /v2 HTTP/0.9\r\n\r\n", 505, "HTTP/1.1"},
      {"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP/1.1"},
      {"WordsOnly", "hello\r\n\r\n", 400, "HTTP"},
      {"SpaceInTarget", "GET /v2 /models HTTP/1.1\r\n\r\n", 505, "HTTP"},
      {"ControlInTarget", "GET /v2\x01 HTTP/1.1\r\n\r\n", 400, "HTTP"},
      {"BadMethod", "G{}T /v2 HTTP/1.1\r\n\r\n", 400, "HTTP"},
      // Heads.
      {"HeaderWithoutColon", "GET /v2 HTTP/1.1\r\nHost\r\n\r\n", 400, "HTTP"},
      {"HeaderNameWithSpace", "GET /v2 HTTP/1.1\r\nHo st: a\r\n\r\n", 400, "HTTP"},
      {"HeaderWithZero", std::string("GET /v2 HTTP/1.1\r\nHost: a\0b\r\n\r\n", 32), 400, "HTTP"},
      {"FoldedHeader", start + "Content-Encoding: gz\r\n ip\r\nContent-Length: 0\r\n\r\n", 400,
       "HTTP"},
      {"EndlessHeader", "GET /v2 HTTP/1.1\r\nX: " + std::string(20000, 'x'), 431, "16384"},
      {"EndlessHeaders",
       "GET /v2 HTTP/1.1\r\n" +
           [] {
             std::string lines;
             for (int i = 0; i < 2000; ++i) lines += "X-" + std::to_string(i) + ": y\r\n";
             return lines;
           }(),
       431, "16384"},
      {"EndlessTarget", "GET /" + std::string(20000, 'x'), 431, "16384"},
      // Lengths.
      {"NegativeLength", start + "Content-Length: -1\r\n\r\n", 400, "HTTP"},
      {"LengthOfWords", start + "Content-Length: ten\r\n\r\n", 400, "HTTP"},
      {"LengthOverflow", start + "Content-Length: 18446744073709551617\r\n\r\n", 400, "HTTP"},
      {"TwoLengths", start + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400, "HTTP"},
      {"LengthListDiffers", start + "Content-Length: 5, 6\r\n\r\n", 400, "HTTP"},
      {"LengthAndChunks",
       start + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP"},
      {"UnknownTransferEncoding", start + "Transfer-Encoding: gzip, chunked\r\n\r\n", 400, "HTTP"},
      {"HiddenTransferEncoding", start + "Transfer-Encoding: xchunked\r\n\r\n", 400, "HTTP"},
      {"HugeLength", start + "Content-Length: 99999999999999\r\n\r\n", 413, "100000"},
      {"LargeBody", post(kInfer, std::string(150'000, ' ')), 413, "100000"},
      // Chunks.
      {"ChunkSizeOfWords", chunked + "five\r\nhello\r\n0\r\n\r\n", 400, "chunked"},
      {"ChunkWithoutEnd", chunked + "5\r\nhelloworld\r\n0\r\n\r\n", 400, "chunked"},
      {"ChunkSizeOverflow", chunked + "fffffffffffffffff\r\n", 400, "chunked"},
      {"HugeChunk", chunked + "ffffffffff\r\n", 413, "100000"},
      {"EndlessChunkHead", chunked + "5;" + std::string(40000, 'x'), 400, "chunk"},
      {"ManyChunksTooMuch",
       chunked +
           [] {
             std::string text;
             for (int i = 0; i < 110; ++i) text += "400\r\n" + std::string(1024, ' ') + "\r\n";
             return text;
           }(),
       413, "100000"},
      // Paths and methods.
      {"UnknownPath", get("/v2/nothing"), 404, "/v2/nothing", false},
      {"UnknownModel", post("/v2/models/none/infer", kBody), 404, "none", false},
      {"UnknownVersion", post("/v2/models/recommender/versions/9/infer", kBody), 404, "9", false},
      {"BadEscape", get("/v2/models/%zz"), 404, "%zz", false},
      {"GetInfer", get(kInfer), 405, "POST", false},
      {"PutModels", "PUT /v2/models HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 405, "GET", false},
      {"Connect", "CONNECT example.org:443 HTTP/1.1\r\n\r\n", 404, "example.org", false},
      // Messages.
      {"NoBody", start + "\r\n", 400, "JSON", false},
      {"EmptyBody", infer(""), 400, "JSON", false},
      {"NotJson", infer("segment=3"), 400, "object", false},
      {"HalfJson", infer(kBody.substr(0, kBody.size() / 2)), 400, "JSON", false},
      {"InvalidUtf8", infer("{\"inputs\":[{\"name\":\"\xff\"}]}"), 400, "JSON", false},
      {"DeepJson", infer(R"({"x":)" + std::string(40'000, '[')), 400, "JSON", false},
      {"NoInputs", infer("{}"), 400, "inputs", false},
      {"WrongName", input(R"({"name":"Segmet","shape":[1,1],"datatype":"INT32","data":[3]})"), 400,
       "Segment", false},
      {"WrongShape", input(R"({"name":"Segment","shape":[1,2],"datatype":"INT32","data":[3,4]})"),
       400, "Segment", false},
      {"WrongRank", input(R"({"name":"Segment","shape":[1],"datatype":"INT32","data":[3]})"), 400,
       "Segment", false},
      {"WrongDatatype", input(R"({"name":"Segment","shape":[1,1],"datatype":"FP32","data":[3]})"),
       400, "INT32", false},
      {"NoDatatype", input(R"({"name":"Segment","shape":[1,1],"datatype":"INT33","data":[3]})"),
       400, "INT33", false},
      {"WrongCount", input(R"({"name":"Segment","shape":[1,1],"datatype":"INT32","data":[3,4]})"),
       400, "more elements", false},
      {"WordsAsData", input(R"({"name":"Segment","shape":[1,1],"datatype":"INT32","data":["3"]})"),
       400, "element 0", false},
      {"IdOutsideTable",
       input(R"({"name":"Segment","shape":[1,1],"datatype":"INT32","data":[123456]})"), 400,
       "123456", false},
      {"NegativeId", input(R"({"name":"Segment","shape":[1,1],"datatype":"INT32","data":[-1]})"),
       400, "-1", false},
      {"OverflowingShape",
       input(R"({"name":"Segment","shape":[4294967296,4294967296],"datatype":"INT32",)"
             R"("data":[3]})"),
       413, "elements", false},
      {"NoSuchOutput",
       infer(R"({"inputs":[{"name":"Segment","shape":[1,1],"datatype":"INT32","data":[3]}],)"
             R"("outputs":[{"name":"Embedding-Sgment"}]})"),
       400, "Embedding-Segment", false},
      {"NotComputable",
       infer(R"({"inputs":[{"name":"Segment","shape":[1,1],"datatype":"INT32","data":[3]}]})"), 400,
       "Features", false},
      // The binary extension.
      {"HeaderLengthBeyondBody", binary_post("100000", "\3   "), 400,
       "Inference-Header-Content-Length", false},
      {"HeaderLengthOfWords", binary_post("all", "\3   "), 400, "Inference-Header-Content-Length",
       false},
      {"HeaderLengthTooSmall", binary_post("20", std::string("\3\0\0\0", 4)), 400, "JSON", false},
      {"BlobTooShort", binary_post(size, std::string("\3\0", 2)), 400, "binary_data_size is 4",
       false},
      {"BlobTooLong", binary_post(size, std::string("\3\0\0\0\0", 5)), 400,
       "unexpected additional input data", false},
      {"BlobOfAnotherSize",
       post(kInfer,
            R"({"inputs":[{"name":"Segment","shape":[1,1],"datatype":"INT32",)"
            R"("parameters":{"binary_data_size":8}}],"outputs":[{"name":"Embedding-Segment"}]})" +
                std::string(8, '\0'),
            "Inference-Header-Content-Length: 146\r\n"),
       400, "", false},
      // Compression.
      {"LengthTwice",
       post(kInfer, kBody, "Content-Length: " + std::to_string(kBody.size()) + "\r\n"), 400,
       "HTTP"},
      {"LengthList", "POST " + std::string(kInfer) + " HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\n{}",
       400, "HTTP"},
      {"NotGzip", post(kInfer, kBody, "Content-Encoding: gzip\r\n"), 400, "decompressed", false},
      {"UnknownCoding", post(kInfer, kBody, "Content-Encoding: br\r\n"), 415, "gzip", false},
  };
}

TEST_F(BadHttpTest, EveryMistakeGetsAnErrorAndTheServerGoesOn) {
  for (const Case& bad : cases()) {
    SCOPED_TRACE(bad.name);
    Client client = running_->connect();
    client.send(bad.bytes);
    const Received reply = client.receive();
    expect_error(reply, bad.status, bad.text);
    EXPECT_EQ(reply.header("Connection"), bad.closes ? "close" : "");
    if (bad.closes) {
      EXPECT_TRUE(client.closed());
    } else {
      client.send(post(kInfer, kBody));
      EXPECT_EQ(client.receive().status, 200);
    }
    expect_serving();
  }
}

TEST_F(BadHttpTest, GarbageBehindAGoodRequestIsAnsweredAfterIt) {
  Client client = running_->connect();
  client.send(post(kInfer, kBody) + post(kInfer, kBody) + "\x01\x02garbage");
  EXPECT_EQ(client.receive().status, 200);
  EXPECT_EQ(client.receive().status, 200);
  expect_error(client.receive(), 400, "HTTP");
  EXPECT_TRUE(client.closed());
  expect_serving();
}

// More bytes than Content-Length says are the next request, and no good one.
TEST_F(BadHttpTest, LengthsThatLieShort) {
  Client client = running_->connect();
  client.send("POST " + std::string(kInfer) + " HTTP/1.1\r\nContent-Length: 10\r\n\r\n" + kBody);
  expect_error(client.receive(), 400, "JSON");
  expect_error(client.receive(), 400, "HTTP");
  EXPECT_TRUE(client.closed());
}

TEST_F(BadHttpTest, RequestsThatEndEarly) {
  const std::string whole = post(kInfer, kBody);
  const std::string chunks =
      "POST " + std::string(kInfer) + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
  for (const std::string& part : {whole.substr(0, 10), whole.substr(0, whole.find("\r\n\r\n") + 2),
                                  whole.substr(0, whole.size() - 1), chunks}) {
    SCOPED_TRACE(part);
    Client client = running_->connect();
    client.send(part);
    client.finish();
    expect_error(client.receive(), 400, "");
    EXPECT_TRUE(client.closed());
  }
  expect_serving();
}

TEST_F(BadHttpTest, ClientsThatGoAway) {
  const std::string whole = post(kInfer, kBody);
  for (std::size_t size = 0; size <= whole.size(); size += 9) {
    Client client = running_->connect();
    client.send(whole.substr(0, size));
  }
  expect_serving();
}

TEST_F(BadHttpTest, SlowClientsRunOutOfTime) {
  Client in_head = running_->connect();
  Client in_body = running_->connect();
  Client in_chunk = running_->connect();
  in_head.send("GET /v2 HTTP/1.1\r\nHost:");
  const std::string whole = post(kInfer, kBody);
  in_body.send(whole.substr(0, whole.size() - 5));
  in_chunk.send("POST " + std::string(kInfer) +
                " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel");
  // Bytes now and then do not help a head.
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(200ms);
    in_head.send("x");
  }
  expect_error(in_head.receive(), 408, "in time");
  expect_error(in_body.receive(), 408, "in time");
  expect_error(in_chunk.receive(), 408, "in time");
  expect_serving();
}

TEST_F(BadHttpTest, IdleConnectionsAreClosed) {
  Client silent = running_->connect();
  Client once = running_->connect();
  once.send(get("/v2"));
  EXPECT_EQ(once.receive().status, 200);
  EXPECT_TRUE(silent.closed());
  EXPECT_TRUE(once.closed());
}

// A proxy that ends the request elsewhere must not be made to pass on a second one.
TEST_F(BadHttpTest, NoSecondRequestHidesInAFirst) {
  const std::string start = "POST " + std::string(kInfer) + " HTTP/1.1\r\n";
  const std::string hidden = "GET /v2/health/live HTTP/1.1\r\n\r\n";
  const std::string lengths = "Content-Length: " + std::to_string(hidden.size()) + "\r\n";
  for (const std::string& head : std::vector<std::string>{
           lengths + "Transfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\n" + lengths,
           lengths + "Transfer-Encoding : chunked\r\n",
           lengths + "Transfer-Encoding:\r\n chunked\r\n", lengths + "Content-Length: 0\r\n",
           "Content-Length: 0\r\n" + lengths, lengths + "Transfer-Encoding: chunked, identity\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
           std::string("Content-Length: +0\r\n"), std::string("Content-Length: 0x0\r\n"),
           std::string("X: y\nTransfer-Encoding: chunked\r\n"),
           std::string("X: y\rTransfer-Encoding: chunked\r\n")}) {
    SCOPED_TRACE(head);
    Client client = running_->connect();
    client.send(start + head + "\r\n0\r\n\r\n" + hidden);
    expect_error(client.receive(), 400, "HTTP");
    EXPECT_TRUE(client.closed());
  }
  expect_serving();
}

TEST_F(BadHttpTest, ChunkExtensionsAndTrailersAreReadOver) {
  std::string size(8, '\0');
  size.resize(
      static_cast<std::size_t>(std::snprintf(size.data(), size.size(), "%zx", kBody.size())));
  Client client = running_->connect();
  client.send("POST " + std::string(kInfer) + " HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" +
              size + ";a=\"b\"\r\n" + kBody + "\r\n0;c\r\nX: y\r\n\r\n" + get("/v2/health/live"));
  EXPECT_EQ(client.receive().status, 200);
  EXPECT_EQ(client.receive().body, R"({"live":true})");
}

// Memory grows with what arrives, not with what is announced.
TEST(BadHttp, AnAnnouncedGigabyteTakesNoMemory) {
  ServerOptions options{.io_threads = 1, .worker_threads = 1};
  options.limits.request_bytes = std::size_t{2} << 30;
  const Running running({"recommender"}, options);
  const auto pages = [] {
    std::size_t size = 0;
    std::ifstream("/proc/self/statm") >> size;  // of the whole address space
    return size;
  };
  ASSERT_EQ(running.ask(get("/v2/models/recommender")).status, 200);
  std::vector<Client> clients;
  const std::size_t before = pages();
  for (int i = 0; i < 8; ++i) {
    clients.push_back(running.connect());
    clients.back().send("POST " + std::string(kInfer) +
                        " HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n" + std::string(1000, ' '));
  }
  EXPECT_EQ(running.ask(get("/v2/models/recommender")).status, 200);
  EXPECT_LT(pages(), before + (std::size_t{64} << 20) / 4096);
}

TEST_F(BadHttpTest, ABadRequestIsNotCountedUnderTheCutBefore) {
  const auto invalid = [](const std::string& cut) {
    const std::string metrics = running_->ask(get("/metrics")).body;
    const std::string sample = R"(kerf_requests_total{model="recommender",version="1",cut=")" +
                               cut + R"(",code="INVALID_ARGUMENT"} )";
    const std::size_t at = metrics.find(sample);
    return at == std::string::npos ? 0 : std::stoi(metrics.substr(at + sample.size()));
  };
  const int whole = invalid("");
  const int unnamed = invalid("*");
  Client client = running_->connect();
  client.send(post(kInfer, kBody));
  EXPECT_EQ(client.receive().status, 200);
  client.send(post(kInfer, "{}"));
  EXPECT_EQ(client.receive().status, 400);
  EXPECT_EQ(invalid(""), whole + 1);
  EXPECT_EQ(invalid("*"), unnamed);
}

// Who asks for much and reads nothing keeps no thread, and in the end no connection.
TEST_F(BadHttpTest, ClientsThatDoNotRead) {
  std::string request = get("/v2/models/recommender/graph");
  for (int i = 0; i < 9; ++i) request += request;
  Client client = running_->connect();
  client.send(request);
  expect_serving();
}

}  // namespace
}  // namespace kerf::server
