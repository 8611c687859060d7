#include "serving/triton_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "kerf/error.h"

namespace kerf::serving {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string error(std::string_view text) {
  try {
    parse_triton_config(text);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidFile);
    return error.what();
  }
  return "no error";
}

// A file as Triton's users write them.
TEST(TritonConfig, TakesWhatMatters) {
  const TritonConfig config = parse_triton_config(R"(
    # a comment
    name: "ranker"
    platform: "tensorflow_savedmodel"
    max_batch_size: 8
    input [
      { name: "INPUT0" data_type: TYPE_FP32 dims: [ 16 ] },
      { name: "INPUT1", data_type: TYPE_FP32, dims: [ -1, 4 ] }
    ]
    output { name: 'OUT"PUT' "0" data_type: TYPE_FP32 dims: 1 }
    instance_group [ { kind: KIND_CPU count: 2 } ]
    dynamic_batching { }
    parameters: { key: "x" value: < string_value: "a\"b" > }
    version_policy: { latest { num_versions: 3 } }
  )");
  EXPECT_EQ(config.name, "ranker");
  EXPECT_EQ(config.versions, (VersionPolicy{.count = 3}));
  EXPECT_THAT(config.ignored, ElementsAre("platform", "max_batch_size", "input", "output",
                                          "instance_group", "dynamic_batching", "parameters"));
}

TEST(TritonConfig, KnowsEveryPolicy) {
  const auto policy = [](const std::string& text) {
    return parse_triton_config("version_policy: { " + text + " }").versions;
  };
  EXPECT_EQ(policy("all { }")->kind, VersionPolicy::Kind::kAll);
  EXPECT_EQ(policy("latest { }"), VersionPolicy{});
  EXPECT_THAT(policy("specific { versions: [1, 3] }")->versions, ElementsAre("1", "3"));
  EXPECT_THAT(policy("specific { versions: 4 versions: 2 }")->versions, ElementsAre("4", "2"));
  EXPECT_FALSE(parse_triton_config("").versions);
}

TEST(TritonConfig, SaysWhereItIsWrong) {
  EXPECT_THAT(error("name: \"x"), HasSubstr("1:9: a string does not end"));
  EXPECT_THAT(error("input {\n  name: \"x\"\n"), HasSubstr("a } is missing"));
  EXPECT_THAT(error("}"), HasSubstr("1:1"));
  EXPECT_THAT(error("name \"x\""), HasSubstr("a : is missing"));
  EXPECT_THAT(error("a: [1"), HasSubstr("a ] is missing"));
  EXPECT_THAT(error("a {]"), HasSubstr("closes nothing"));
  EXPECT_THAT(error("version_policy { newest { } }"), HasSubstr("no policy 'newest'"));
  EXPECT_THAT(error("version_policy { latest { num_versions: -1 } }"), HasSubstr("'-1'"));
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += "a {";
  EXPECT_THAT(error(deep), HasSubstr("too deep"));
}

}  // namespace
}  // namespace kerf::serving
