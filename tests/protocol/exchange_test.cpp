#include "protocol/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <map>
#include <string>
#include <vector>

#include "protocol/compression.h"
#include "tests/protocol/call.h"
#include "tests/protocol/golden.h"

namespace kerf::protocol {
namespace {

using testing::HasSubstr;

constexpr const char* kInfer = "/v2/models/recommender/infer";
constexpr float kTolerance = 1e-5F;

// Exchanges with the recommender of tests/data/golden, whose truth is what Keras computes.
class ExchangeTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    service_ = serve_golden({"recommender", "masking_layer", "passthrough_and_unused"}).release();
    golden_ = new auto(golden_arrays("recommender"));
  }
  static void TearDownTestSuite() {
    delete service_;
    delete golden_;
  }

  static const Tensor& golden(const std::string& key) { return golden_->at(key); }
  static std::string segment() { return json_input("Segment", golden("input_0")); }
  static std::string features() { return json_input("Features", golden("input_1")); }
  static std::string request(const std::string& inputs, const std::string& more = {}) {
    return R"({"inputs":[)" + inputs + "]" + more + "}";
  }
  static std::string whole(const std::string& more = {}) {
    return request(segment() + "," + features(), more);
  }

  static Answer get(const std::string& target) {
    return ask(*service_, {.method = "GET", .target = target});
  }
  static Answer infer(const std::string& body) {
    return ask(*service_, {.target = kInfer, .body = body});
  }
  static std::string error_of(const std::string& body, int status = 400) {
    const Answer answer = infer(body);
    EXPECT_EQ(answer.status, status) << answer.body;
    return answer.error();
  }

  static std::vector<float> data(const boost::json::value& output) {
    std::vector<float> values;
    for (const auto& value : output.at("data").as_array())
      values.push_back(value.to_number<float>());
    return values;
  }

  static inline Service* service_ = nullptr;
  static inline std::map<std::string, Tensor>* golden_ = nullptr;
};

TEST_F(ExchangeTest, DescribesTheServer) {
  const Answer answer = get("/v2");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json().at("name"), "kerf");
  EXPECT_TRUE(answer.json().at("version").is_string());
  EXPECT_THAT(answer.body, HasSubstr("\"binary_tensor_data\""));
}

TEST_F(ExchangeTest, SaysThatItIsLiveAndReady) {
  EXPECT_EQ(get("/v2/health/live").body, "{\"live\":true}");
  EXPECT_EQ(get("/v2/health/ready").body, "{\"ready\":true}");
  EXPECT_EQ(get("/v2/models/recommender/ready").body, "{\"name\":\"recommender\",\"ready\":true}");
  service_->ready = false;
  EXPECT_EQ(get("/v2/health/live").status, 200);
  EXPECT_EQ(get("/v2/health/ready").status, 503);
  EXPECT_EQ(get("/v2/models/recommender/ready").status, 503);
  service_->ready = true;
}

TEST_F(ExchangeTest, DescribesModels) {
  EXPECT_EQ(get("/v2/models").body,
            R"({"models":["masking_layer","passthrough_and_unused","recommender"]})");
  const std::string metadata =
      R"({"name":"recommender","versions":["1"],"platform":"kerf_keras",)"
      R"("inputs":[{"name":"Segment","datatype":"INT32","shape":[-1,1]},)"
      R"({"name":"Features","datatype":"FP32","shape":[-1,10]}],)"
      R"("outputs":[{"name":"dense_final","datatype":"FP32","shape":[-1,4]}]})";
  EXPECT_EQ(get("/v2/models/recommender").body, metadata);
  EXPECT_EQ(get("/v2/models/recommender/versions/1").body, metadata);
  const boost::json::value graph = get("/v2/models/recommender/graph").json();
  EXPECT_EQ(graph.at("layers").as_array().size(), 5U);
  const Answer index = ask(*service_, {.target = "/v2/repository/index"});
  EXPECT_EQ(index.json().as_array().size(), 3U);
  EXPECT_EQ(boost::json::serialize(index.json().at(2)),
            R"({"name":"recommender","version":"1","state":"READY"})");
}

TEST_F(ExchangeTest, PredictsWhatKerasPredicts) {
  const Answer answer = infer(whole(R"(,"id":"abc")"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json_length, std::nullopt);
  const boost::json::value reply = answer.json();
  EXPECT_EQ(reply.at("model_name"), "recommender");
  EXPECT_EQ(reply.at("model_version"), "1");
  EXPECT_EQ(reply.at("id"), "abc");
  ASSERT_EQ(reply.at("outputs").as_array().size(), 1U);
  const boost::json::value& output = reply.at("outputs").at(0);
  EXPECT_EQ(output.at("name"), "dense_final");
  EXPECT_EQ(output.at("datatype"), "FP32");
  EXPECT_EQ(boost::json::serialize(output.at("shape")), "[5,4]");
  EXPECT_LE(difference(data(output), golden("output_0")), kTolerance);
}

TEST_F(ExchangeTest, CutsWhereTheRequestSays) {
  // The head: one input is enough for the embedding.
  const Answer head = infer(request(segment(), R"(,"outputs":[{"name":"Embedding-Segment"}])"));
  ASSERT_EQ(head.status, 200) << head.body;
  EXPECT_LE(difference(data(head.json().at("outputs").at(0)), golden("layer_0000")), kTolerance);

  // The tail, from features that Keras computed.
  const Answer tail = infer(request(json_input("dense_hidden", golden("layer_0003"))));
  ASSERT_EQ(tail.status, 200) << tail.body;
  EXPECT_LE(difference(data(tail.json().at("outputs").at(0)), golden("output_0")), kTolerance);

  // A middle, several tensors, in the order asked for; one of them twice.
  const Answer middle = infer(
      request(json_input("Embedding-Segment", golden("layer_0000")) + "," + features(),
              R"(,"outputs":[{"name":"dense_hidden"},{"name":"flat"},{"name":"dense_hidden"}])"));
  ASSERT_EQ(middle.status, 200) << middle.body;
  const boost::json::value outputs = middle.json().at("outputs");
  ASSERT_EQ(outputs.as_array().size(), 3U);
  EXPECT_LE(difference(data(outputs.at(0)), golden("layer_0003")), kTolerance);
  EXPECT_EQ(outputs.at(1).at("name"), "flat");
  EXPECT_LE(difference(data(outputs.at(1)), golden("layer_0001")), kTolerance);
  EXPECT_EQ(data(outputs.at(2)), data(outputs.at(0)));
}

TEST_F(ExchangeTest, RefusesCutsThatCannotBeComputed) {
  EXPECT_THAT(error_of(request(segment())), HasSubstr("'Features' is also needed"));
  EXPECT_THAT(error_of(request(segment(), R"(,"outputs":[{"name":"dense_hiden"}])")),
              HasSubstr("dense_hidden"));
  EXPECT_THAT(error_of(request(json_input("Segmnt", golden("input_0")) + "," + features())),
              HasSubstr("Segment"));
  EXPECT_THAT(error_of(request(segment() + "," + features() + "," +
                               json_input("dense_hidden", golden("layer_0003")))),
              HasSubstr("Segment"));
  EXPECT_THAT(error_of(request(segment() + "," + segment())), HasSubstr("given twice"));
}

TEST_F(ExchangeTest, TakesAllInputsOfAModelWhateverIsFetched) {
  // What clients do that know nothing of cuts: 'h' needs only 'a'.
  const auto arrays = golden_arrays("passthrough_and_unused");
  const std::string inputs =
      json_input("a", arrays.at("input_0")) + "," + json_input("b", arrays.at("input_1"));
  for (const char* outputs : {"", R"(,"outputs":[{"name":"h"}])", R"(,"outputs":[{"name":"b"}])"}) {
    const Answer answer = ask(*service_, {.target = "/v2/models/passthrough_and_unused/infer",
                                          .body = request(inputs, outputs)});
    EXPECT_EQ(answer.status, 200) << answer.body;
  }
}

TEST_F(ExchangeTest, ReturnsMasksAsBooleans) {
  const auto arrays = golden_arrays("masking_layer");
  const Answer answer =
      ask(*service_, {.target = "/v2/models/masking_layer/infer",
                      .body = request(json_input("x", arrays.at("input_0")),
                                      R"(,"outputs":[{"name":"masking:mask"}])")});
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json().at("outputs").at(0).at("datatype"), "BOOL");
  EXPECT_TRUE(answer.json().at("outputs").at(0).at("data").at(0).is_bool());
}

TEST_F(ExchangeTest, SpeaksBinaryBothWays) {
  const std::string json = R"({"inputs":[)" + binary_input("Segment", golden("input_0")) + "," +
                           binary_input("Features", golden("input_1")) +
                           R"(],"parameters":{"binary_data_output":true}})";
  const std::string blobs =
      bytes_of(golden("input_0").bytes()) + bytes_of(golden("input_1").bytes());
  const Answer answer = ask(*service_, binary_call(kInfer, json, blobs));
  ASSERT_EQ(answer.status, 200) << answer.body;
  ASSERT_TRUE(answer.json_length);
  const boost::json::value output = answer.json().at("outputs").at(0);
  EXPECT_EQ(output.at("parameters").at("binary_data_size"), 80);
  EXPECT_FALSE(output.as_object().contains("data"));
  EXPECT_LE(difference(answer.blob<float>(), golden("output_0")), kTolerance);
}

TEST_F(ExchangeTest, MixesBinaryAndJson) {
  // Only Features is binary; only the second output is asked for as a blob.
  const std::string json = R"({"inputs":[)" + segment() + "," +
                           binary_input("Features", golden("input_1")) +
                           R"(],"outputs":[{"name":"dense_final"},)"
                           R"({"name":"dense_hidden","parameters":{"binary_data":true}}]})";
  const Answer answer =
      ask(*service_, binary_call(kInfer, json, bytes_of(golden("input_1").bytes())));
  ASSERT_EQ(answer.status, 200) << answer.body;
  const boost::json::value outputs = answer.json().at("outputs");
  EXPECT_LE(difference(data(outputs.at(0)), golden("output_0")), kTolerance);
  EXPECT_LE(difference(answer.blob<float>(), golden("layer_0003")), kTolerance);
}

TEST_F(ExchangeTest, AnOutputsOwnFormGoesBeforeTheDefault) {
  const Answer answer =
      infer(whole(R"(,"parameters":{"binary_data_output":true},"outputs":[{"name":"dense_final"},)"
                  R"({"name":"flat","parameters":{"binary_data":false}}])"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_TRUE(answer.json().at("outputs").at(1).as_object().contains("data"));
  EXPECT_LE(difference(answer.blob<float>(), golden("output_0")), kTolerance);
}

TEST_F(ExchangeTest, EmptyBatchesAreAnswered) {
  const std::string inputs = R"({"name":"Segment","shape":[0,1],"datatype":"INT32","data":[]},)"
                             R"({"name":"Features","shape":[0,10],"datatype":"FP32"})";
  const Answer json = infer(request(inputs));
  ASSERT_EQ(json.status, 200) << json.body;
  EXPECT_THAT(json.body, HasSubstr("\"shape\":[0,4],\"data\":[]"));
  // Triton, too, sends no header when all blobs are empty.
  const Answer binary = infer(request(inputs, R"(,"parameters":{"binary_data_output":true})"));
  ASSERT_EQ(binary.status, 200) << binary.body;
  EXPECT_EQ(binary.json_length, std::nullopt);
  EXPECT_THAT(binary.body, HasSubstr("\"binary_data_size\":0"));
}

TEST_F(ExchangeTest, ReadsBodiesWithoutAnyJson) {
  const auto arrays = golden_arrays("masking_layer");
  const Tensor& x = arrays.at("input_0");
  const Answer answer = ask(*service_, {.target = "/v2/models/masking_layer/infer",
                                        .body = bytes_of(x.bytes()),
                                        .json_length = "0"});
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json().at("outputs").as_array().size(), 4U);
  EXPECT_EQ(boost::json::serialize(answer.json().at("outputs").at(0).at("shape")),
            shape_text(x.shape()));
  const Answer two = ask(*service_, {.target = kInfer, .body = "1234", .json_length = "0"});
  EXPECT_EQ(two.status, 400);
  EXPECT_THAT(two.error(), HasSubstr("models with one input"));
}

TEST_F(ExchangeTest, ConvertsDatatypesWithinTheirKind) {
  const std::string float64 = json_input("Features", golden("input_1").cast(DType::kFloat64));
  const std::string int64 = json_input("Segment", golden("input_0").cast(DType::kInt64));
  const Answer answer = infer(request(int64 + "," + float64));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_LE(difference(data(answer.json().at("outputs").at(0)), golden("output_0")), kTolerance);

  const Tensor half = golden("input_1").cast(DType::kFloat16);
  const Answer binary = ask(*service_, binary_call(kInfer,
                                                   R"({"inputs":[)" + segment() + "," +
                                                       binary_input("Features", half) + "]}",
                                                   bytes_of(half.bytes())));
  ASSERT_EQ(binary.status, 200) << binary.body;
  EXPECT_LE(difference(data(binary.json().at("outputs").at(0)), golden("output_0")), 1e-2F);
}

TEST_F(ExchangeTest, SaysWhatIsWrongWithData) {
  const auto with = [&](const std::string& segment_entry) {
    return error_of(request(segment_entry + "," + features()));
  };
  EXPECT_THAT(with(R"({"name":"Segment","shape":[5,1],"datatype":"FP32","data":[1,2,3,4,5]})"),
              HasSubstr("input Segment: the tensor is INT32, but the request declares FP32"));
  EXPECT_THAT(with(R"({"name":"Segment","shape":[5,1],"datatype":"INT32","data":[1,2,3,4,5.5]})"),
              HasSubstr("input Segment: element 4 is not an integer that fits INT32: 5.5"));
  EXPECT_THAT(with(R"({"name":"Segment","shape":[5,1],"datatype":"INT32","data":[1,2,3,4]})"),
              HasSubstr("input Segment"));
  EXPECT_THAT(with(R"({"name":"Segment","shape":[5],"datatype":"INT32","data":[1,2,3,4,5]})"),
              HasSubstr("Segment"));
  EXPECT_THAT(with(R"({"name":"Segment","shape":[5,2],"datatype":"INT32",)"
                   R"("data":[1,2,3,4,5,6,7,8,9,0]})"),
              HasSubstr("Segment"));
  EXPECT_THAT(with(R"({"name":"Segment","shape":[4,1],"datatype":"INT32","data":[1,2,3,4]})"),
              HasSubstr("4"));
  EXPECT_THAT(with(R"({"name":"Segment","shape":[5,1],"datatype":"BYTES",)"
                   R"("data":["a","b","c","d","e"]})"),
              HasSubstr("INT32"));
  // An id outside the embedding's table.
  EXPECT_THAT(with(R"({"name":"Segment","shape":[5,1],"datatype":"INT32",)"
                   R"("data":[1,2,3,4,1000000]})"),
              HasSubstr("1000000"));
}

TEST_F(ExchangeTest, ChecksSizesBeforeAnythingIsAllocated) {
  EXPECT_THAT(error_of(request(R"({"name":"Segment","shape":[4000000000,4000000000,4000000000],)"
                               R"("datatype":"INT32","data":[1]})"),
                       413),
              HasSubstr("too many elements"));
  EXPECT_THAT(error_of(request(R"({"name":"Segment","shape":[1000000000,1],"datatype":"INT32",)"
                               R"("data":[1]})"),
                       413),
              HasSubstr("more than this server's limit"));
  EXPECT_THAT(error_of(request(R"({"name":"Segment","shape":[100000000,1],"datatype":"INT32",)"
                               R"("data":[1]})")),
              HasSubstr("the data is too short for the 100000000 elements"));
  EXPECT_THAT(error_of(request(R"({"name":"Segment","shape":[9223372036854775808,1],)"
                               R"("datatype":"INT32","data":[1]})")),
              HasSubstr("shape"));
}

TEST_F(ExchangeTest, ChecksTheHeaderOfTheBinaryExtension) {
  for (const char* length : {"", "x", "-1", "1.5", "99999999", "18446744073709551616", " 5"}) {
    const Answer answer =
        ask(*service_, {.target = kInfer, .body = whole(), .json_length = length});
    EXPECT_EQ(answer.status, 400) << length;
    EXPECT_THAT(answer.error(), HasSubstr("Inference-Header-Content-Length")) << length;
  }
  // JSON cut short by a length that is too small.
  EXPECT_EQ(ask(*service_, {.target = kInfer, .body = whole(), .json_length = "10"}).status, 400);
}

TEST_F(ExchangeTest, DecompressesAndCompresses) {
  for (const Coding coding : {Coding::kGzip, Coding::kDeflate}) {
    Buffer packed;
    compress(coding, whole(), packed);
    const Answer answer = ask(*service_, {.target = kInfer,
                                          .body = std::string(packed.view()),
                                          .content_encoding = std::string(coding_name(coding))});
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_LE(difference(data(answer.json().at("outputs").at(0)), golden("output_0")), kTolerance);

    Answer graph = ask(*service_, {.method = "GET",
                                   .target = "/v2/models/recommender/graph",
                                   .accept_encoding = std::string(coding_name(coding))});
    EXPECT_EQ(graph.content_encoding, coding_name(coding));
    Buffer unpacked;
    decompress(coding, graph.body, 1 << 24, unpacked);
    EXPECT_EQ(unpacked.view(), get("/v2/models/recommender/graph").body);
  }
  const Answer unknown =
      ask(*service_, {.target = kInfer, .body = whole(), .content_encoding = "br"});
  EXPECT_EQ(unknown.status, 415);
  EXPECT_THAT(unknown.error(), HasSubstr("gzip, deflate or identity"));
  EXPECT_EQ(ask(*service_, {.target = kInfer, .body = whole(), .content_encoding = "gzip"}).status,
            400);
}

// The JSON's length counts uncompressed bytes where JSON and blobs were compressed as one.
TEST_F(ExchangeTest, DecompressesBinaryRequests) {
  const std::string json =
      R"({"inputs":[)" + segment() + "," + binary_input("Features", golden("input_1")) + "]}";
  Buffer packed;
  compress(Coding::kGzip, json + bytes_of(golden("input_1").bytes()), packed);
  const Answer answer = ask(*service_, {.target = kInfer,
                                        .body = std::string(packed.view()),
                                        .content_encoding = "gzip",
                                        .json_length = std::to_string(json.size())});
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_LE(difference(data(answer.json().at("outputs").at(0)), golden("output_0")), kTolerance);
}

TEST_F(ExchangeTest, KnowsWhatIsNotThere) {
  EXPECT_EQ(get("/").status, 404);
  EXPECT_EQ(get("/v2/models/none").status, 404);
  EXPECT_THAT(get("/v2/models/none").error(), HasSubstr("no model 'none'"));
  EXPECT_EQ(get("/v2/models/recommender/versions/7").status, 404);
  EXPECT_THAT(get("/v2/models/recommender/versions/7/ready").error(),
              HasSubstr("no version '7'; the highest is 1"));
  EXPECT_EQ(ask(*service_, {.target = "/v2/models/none/infer", .body = whole()}).status, 404);
}

TEST_F(ExchangeTest, KnowsWhatMethodsArePossible) {
  const Answer wrong = get(kInfer);
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.allow, "POST");
  EXPECT_THAT(wrong.error(), HasSubstr("POST"));
  for (const char* method : {"POST", "PUT", "DELETE", "get"}) {
    const Answer answer = ask(*service_, {.method = method, .target = "/v2/models"});
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.allow, "GET, HEAD");
  }
  EXPECT_EQ(ask(*service_, {.method = "HEAD", .target = "/v2/models"}).status, 200);
}

TEST_F(ExchangeTest, OneExchangeServesRequestAfterRequest) {
  Asker asker(*service_);
  const std::string first = ask(asker, {.target = kInfer, .body = whole()}).body;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(ask(asker, {.target = kInfer, .body = "nonsense"}).status, 400);
    EXPECT_EQ(
        ask(asker, {.target = kInfer,
                    .body = request(segment(), R"(,"outputs":[{"name":"Embedding-Segment"}])")})
            .status,
        200);
    EXPECT_EQ(ask(asker, {.target = kInfer, .body = whole()}).body, first);
  }
}

TEST_F(ExchangeTest, RefusesTensorsBeyondTheLimits) {
  const auto small = serve_golden(
      {"recommender"}, {.request_bytes = 4096, .tensor_elements = 60, .reply_bytes = 100});
  const Answer answer = ask(*small, {.target = kInfer, .body = whole()});
  EXPECT_EQ(answer.status, 200) << answer.body;
  const Answer much = ask(
      *small, {.target = kInfer,
               .body = whole(R"(,"outputs":[{"name":"dense_final"},{"name":"dense_hidden"}])")});
  EXPECT_EQ(much.status, 413);
  EXPECT_THAT(much.error(), HasSubstr("this server's limit"));
  Buffer bomb;
  compress(Coding::kGzip, std::string(1 << 20, ' '), bomb);
  const Answer bombed =
      ask(*small, {.target = kInfer, .body = std::string(bomb.view()), .content_encoding = "gzip"});
  EXPECT_EQ(bombed.status, 413);
}

}  // namespace
}  // namespace kerf::protocol
