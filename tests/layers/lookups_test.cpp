#include <gmock/gmock.h>

#include "tests/layers/run_layer.h"

// What Keras' documentation shows, unless a test says otherwise.
namespace kerf::layers {
namespace {

using testing::HasSubstr;

Tensor texts(const Shape& shape, const std::vector<std::string_view>& values) {
  return Tensor::of_strings(shape, values);
}

Tensor run(const std::string& name, const std::string& config, const Tensor& x,
           const std::map<std::string, Floats>& weights = {}) {
  return run_layer({.class_name = name, .config = config, .inputs = {x}, .weights = weights})
      .outputs[0];
}

Tensor look_up(const std::string& options, const Tensor& x,
               const std::map<std::string, Floats>& weights = {}) {
  return run("StringLookup", R"({"vocabulary": ["a", "b", "c", "d"])" + options + "}", x, weights);
}

const Tensor& words() {
  static const Tensor kWords = texts({2, 3}, {"a", "c", "d", "d", "z", "b"});
  return kWords;
}
const Tensor& bags() {
  static const Tensor kBags = texts({2, 4}, {"a", "c", "d", "d", "d", "z", "b", "z"});
  return kBags;
}

TEST(StringLookupTest, GivesTheIndexOfEachToken) {
  const Tensor ids = look_up("", words());
  EXPECT_EQ(ids.dtype(), DType::kInt64);
  expect_tensor(ids, {2, 3}, Floats{1, 3, 4, 4, 0, 2});
  expect_tensor(look_up(R"(, "mask_token": "")", texts({3}, {"", "a", "z"})), {3}, Floats{0, 2, 1});
  // The special tokens may be given with the others.
  expect_tensor(run("StringLookup", R"({"vocabulary": ["[UNK]", "a"]})", texts({2}, {"a", "b"})),
                {2}, Floats{1, 0});
  expect_tensor(run("StringLookup", R"({"vocabulary": ["", "?", "?", "a"], "mask_token": "",
                                        "oov_token": "?", "num_oov_indices": 2})",
                    texts({2}, {"a", ""})),
                {2}, Floats{3, 0});
}

TEST(StringLookupTest, HashesUnknownTokensIntoSeveralIndices) {
  expect_tensor(look_up(R"(, "num_oov_indices": 2)", texts({2, 3}, {"a", "c", "d", "m", "z", "b"})),
                {2, 3}, Floats{2, 4, 5, 0, 1, 3});
}

TEST(StringLookupTest, EncodesTokens) {
  expect_tensor(look_up(R"(, "output_mode": "one_hot")", texts({5}, {"a", "b", "c", "d", "z"})),
                {5, 5},
                Floats{0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0});
  expect_tensor(look_up(R"(, "output_mode": "multi_hot")", bags()), {2, 5},
                Floats{0, 1, 0, 1, 1, 1, 0, 1, 0, 1});
  expect_tensor(look_up(R"(, "output_mode": "count")", bags()), {2, 5},
                Floats{0, 1, 0, 1, 2, 2, 0, 1, 0, 1});
  expect_tensor(
      look_up(R"(, "output_mode": "count", "max_tokens": 7, "pad_to_max_tokens": true)", bags()),
      {2, 7}, Floats{0, 1, 0, 1, 2, 0, 0, 2, 0, 1, 0, 1, 0, 0});
  // What is masked counts for nothing, and has no index (not in the documentation).
  expect_tensor(
      look_up(R"(, "output_mode": "count", "mask_token": "z")", texts({1, 3}, {"z", "y", "d"})),
      {1, 5}, Floats{1, 0, 0, 0, 1});
}

TEST(StringLookupTest, WeighsCounts) {
  expect_tensor(
      look_up(R"(, "output_mode": "tf_idf", "idf_weights": [0.25, 0.75, 0.6, 0.4])", bags()),
      {2, 5}, Floats{0, 0.25F, 0, 0.6F, 0.8F, 1, 0, 0.75F, 0, 0.4F});
  expect_tensor(run("StringLookup", R"({"vocabulary": ["[UNK]", "a", "b", "c", "d"],
                    "output_mode": "tf-idf", "idf_weights": [0.9, 0.25, 0.75, 0.6, 0.4]})",
                    bags()),
                {2, 5}, Floats{0, 0.25F, 0, 0.6F, 0.8F, 1.8F, 0, 0.75F, 0, 0.4F});
  // Adapted layers keep the weights among the variables.
  expect_tensor(look_up(R"(, "output_mode": "tf_idf", "idf_weights": null)", bags(),
                        {{"idf_weights", {0.9F, 0.25F, 0.75F, 0.6F, 0.4F}}}),
                {2, 5}, Floats{0, 0.25F, 0, 0.6F, 0.8F, 1.8F, 0, 0.75F, 0, 0.4F});
}

TEST(StringLookupTest, TurnsIndicesIntoTokens) {
  const Tensor tokens = look_up(R"(, "invert": true)", ints({2, 3}, {1, 3, 4, 4, 0, 2}));
  EXPECT_EQ(tokens.shape(), (Shape{2, 3}));
  EXPECT_THAT(tokens.strings(), testing::ElementsAre("a", "c", "d", "d", "[UNK]", "b"));
  EXPECT_THAT(look_up(R"(, "invert": true, "mask_token": "-", "oov_token": "?")",
                      ints({5}, {0, 1, 2, 6, -1}))
                  .strings(),
              testing::ElementsAre("-", "?", "a", "?", "?"));
}

TEST(StringLookupTest, SaysWhatIsWrong) {
  const auto refusal = [](const std::string& config, const Tensor& x) {
    return refusal_of({.class_name = "StringLookup", .config = config, .inputs = {x}});
  };
  const Error missing = refusal(R"({"vocabulary": null})", words());
  EXPECT_EQ(missing.code(), ErrorCode::kUnsupported);
  EXPECT_THAT(missing.what(), HasSubstr("field vocabulary: the file does not hold it"));
  const Error unknown = refusal(R"({"vocabulary": ["a"], "num_oov_indices": 0})", words());
  EXPECT_EQ(unknown.code(), ErrorCode::kInvalidArgument);
  EXPECT_THAT(unknown.what(), HasSubstr("element 1, 'c', is not in the vocabulary"));
  EXPECT_THAT(refusal(R"({"vocabulary": ["a", "a"]})", words()).what(), HasSubstr("'a' twice"));
  EXPECT_THAT(refusal(R"({"vocabulary": ["a", 1]})", words()).what(), HasSubstr("not a string"));
  EXPECT_THAT(refusal(R"({"vocabulary": "words.txt"})", words()).what(), HasSubstr("no list"));
  EXPECT_THAT(refusal(R"({"vocabulary": ["a"]})", ints({1}, {1})).what(),
              HasSubstr("looks up strings, but is called with int32"));
  EXPECT_THAT(refusal(R"({"vocabulary": ["a"], "output_mode": "tf_idf", "idf_weights": [1, 2, 3]})",
                      words())
                  .what(),
              HasSubstr("idf_weights"));
  EXPECT_THAT(
      refusal(R"({"vocabulary": ["a"], "max_tokens": 1, "pad_to_max_tokens": true})", words())
          .what(),
      HasSubstr("max_tokens"));
}

TEST(IntegerLookupTest, GivesTheIndexOfEachToken) {
  const std::string vocabulary = R"({"vocabulary": [12, 36, 1138, 42])";
  expect_tensor(run("IntegerLookup", vocabulary + "}", ints({2, 3}, {12, 1138, 42, 42, 1000, 36})),
                {2, 3}, Floats{1, 3, 4, 4, 0, 2});
  expect_tensor(run("IntegerLookup", vocabulary + R"(, "num_oov_indices": 2})",
                    ints({2, 3}, {12, 1138, 42, 37, 1000, 36})),
                {2, 3}, Floats{2, 4, 5, 1, 0, 3});
  const Tensor tokens =
      run("IntegerLookup", vocabulary + R"(, "invert": true})", ints({2, 3}, {1, 3, 4, 4, 0, 2}));
  EXPECT_EQ(tokens.dtype(), DType::kInt64);
  expect_tensor(tokens, {2, 3}, Floats{12, 1138, 42, 42, -1, 36});
  // Not in the documentation: a remainder is never negative, and a mask.
  expect_tensor(run("IntegerLookup", vocabulary + R"(, "num_oov_indices": 3, "mask_token": 0})",
                    ints({4}, {0, -1, 7, 12})),
                {4}, Floats{0, 3, 2, 4});
}

}  // namespace
}  // namespace kerf::layers
