#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <string>

#include "tests/protocol/call.h"

// Exchanges with a model that makes words into ids, and those into words again.
namespace kerf::protocol {
namespace {

using testing::HasSubstr;

constexpr const char* kInfer = "/v2/models/words/infer";

class StringsTest : public testing::Test {
 protected:
  Answer infer(const std::string& inputs, const std::string& more = {}) {
    return ask(*service_, {.target = kInfer, .body = R"({"inputs":[)" + inputs + "]" + more + "}"});
  }
  static std::string text(const std::string& data) {
    return R"({"name":"text","datatype":"BYTES","shape":[2,1],"data":)" + data + "}";
  }
  static std::string data_of(const Answer& answer, std::size_t output) {
    return boost::json::serialize(answer.json().at("outputs").at(output).at("data"));
  }

  std::unique_ptr<Service> service_ = serve_golden({"words"}, {}, "text");
};

TEST_F(StringsTest, MetadataSaysBytes) {
  const Answer answer = ask(*service_, {.method = "GET", .target = "/v2/models/words"});
  EXPECT_THAT(answer.body, HasSubstr(R"({"name":"text","datatype":"BYTES","shape":[-1,1]})"));
  EXPECT_THAT(answer.body, HasSubstr(R"({"name":"tokens","datatype":"BYTES","shape":[-1,4]})"));
}

TEST_F(StringsTest, AreSentAsJson) {
  const Answer answer = infer(text(R"([["The \"film\" was good!"], ["\u00e9t\u00e9\tyes"]])"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(data_of(answer, 0), "[2,3,4,5,7,1,0,0]");
  EXPECT_EQ(data_of(answer, 1), R"(["the","film","was","good","été","[UNK]","",""])");
}

TEST_F(StringsTest, AreSentAsBinaryBothWays) {
  const std::string blob("\x03\0\0\0bad\x02\0\0\0\xFF!", 13);
  const Answer answer =
      ask(*service_,
          binary_call(kInfer,
                      R"({"inputs":[{"name":"text","datatype":"BYTES","shape":[2,1],)"
                      R"("parameters":{"binary_data_size":13}}],"outputs":[{"name":"tokens",)"
                      R"("parameters":{"binary_data":true}},{"name":"text"}]})",
                      blob));
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.error(), HasSubstr("not UTF-8"));
  const Answer binary =
      ask(*service_,
          binary_call(kInfer,
                      R"({"inputs":[{"name":"text","datatype":"BYTES","shape":[2,1],)"
                      R"("parameters":{"binary_data_size":13}}],"outputs":[{"name":"tokens"},)"
                      R"({"name":"text"}],"parameters":{"binary_data_output":true}})",
                      blob));
  ASSERT_EQ(binary.status, 200) << binary.body;
  EXPECT_THAT(binary.body, HasSubstr(R"("parameters":{"binary_data_size":40})"));
  // "bad" and three empty strings, an unknown one and three empty ones; then what was fed.
  const std::string none(4, '\0');
  const std::string expected = std::string("\3\0\0\0bad", 7) + none + none + none +
                               std::string("\5\0\0\0[UNK]", 9) + none + none + none;
  EXPECT_EQ(binary.body.substr(*binary.json_length), expected + blob);
}

TEST_F(StringsTest, AreCutAsAnyTensor) {
  const Answer tail = infer(R"({"name":"ids","datatype":"INT64","shape":[1,4],"data":[5,6,0,99]})",
                            R"(,"outputs":[{"name":"tokens"}])");
  ASSERT_EQ(tail.status, 200) << tail.body;
  EXPECT_EQ(data_of(tail, 0), R"(["good","bad","","[UNK]"])");
  const Answer middle =
      infer(R"({"name":"tokens","datatype":"BYTES","shape":[1,4],"data":["a","b","c","d"]})",
            R"(,"outputs":[{"name":"tokens"}])");
  ASSERT_EQ(middle.status, 200) << middle.body;
  EXPECT_EQ(data_of(middle, 0), R"(["a","b","c","d"])");
}

TEST_F(StringsTest, MayBeAllOfABody) {
  const Answer answer =
      ask(*service_, {.target = kInfer, .body = "A bad film.", .json_length = std::string("0")});
  ASSERT_EQ(answer.status, 200) << answer.body;
  const std::string ids = answer.body.substr(*answer.json_length, 4 * sizeof(std::int64_t));
  std::int64_t first[4];
  std::memcpy(first, ids.data(), sizeof(first));
  EXPECT_THAT(first, testing::ElementsAre(1, 6, 3, 0));
}

TEST_F(StringsTest, SayWhatIsWrong) {
  EXPECT_THAT(infer(text("[1, 2]")).error(), HasSubstr("element 0 is not a string"));
  EXPECT_THAT(infer(text(R"(["a"])")).error(), HasSubstr("input text"));
  EXPECT_THAT(infer(text("[\"a\", \"\xFF\"]")).error(), HasSubstr("not JSON"));
  EXPECT_THAT(infer(R"({"name":"text","datatype":"INT32","shape":[1,1],"data":[1]})").error(),
              HasSubstr("the tensor is BYTES, but the request declares INT32"));
  const Answer cut =
      ask(*service_, binary_call(kInfer,
                                 R"({"inputs":[{"name":"text","datatype":"BYTES","shape":[1,1],)"
                                 R"("parameters":{"binary_data_size":5}}]})",
                                 std::string("\x02\0\0\0a", 5)));
  EXPECT_EQ(cut.status, 400);
  EXPECT_THAT(cut.error(), HasSubstr("element 0 announces 2 bytes, but 1 are left"));
}

}  // namespace
}  // namespace kerf::protocol
