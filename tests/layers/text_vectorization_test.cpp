#include <gmock/gmock.h>

#include "tests/layers/run_layer.h"

// By the layer's source: TensorFlow's string functions, whose rules program/op.h gives.
namespace kerf::layers {
namespace {

using testing::HasSubstr;

LayerCase text_case(const std::string& options, const Shape& shape,
                    const std::vector<std::string_view>& texts) {
  return {
      .class_name = "TextVectorization",
      .config = R"({"vocabulary": ["foo", "bar", "baz", "foo bar", "é", "\u4e2d"])" + options + "}",
      .inputs = {Tensor::of_strings(shape, texts)}};
}

Tensor vectorize(const std::string& options, const std::vector<std::string_view>& texts) {
  return run_layer(text_case(options, {std::ssize(texts)}, texts)).outputs[0];
}

TEST(TextVectorizationTest, GivesTheIndicesOfWords) {
  const std::string four = R"(, "output_sequence_length": 4)";
  const Tensor ids = vectorize(four, {"foo qux bar", "qux baz"});
  EXPECT_EQ(ids.dtype(), DType::kInt64);
  expect_tensor(ids, {2, 4}, Floats{2, 1, 3, 0, 1, 4, 0, 0});
  expect_tensor(run_layer(text_case(four, {2, 1}, {"", "foo foo foo foo bar"})).outputs[0], {2, 4},
                Floats{0, 0, 0, 0, 2, 2, 2, 2});
}

TEST(TextVectorizationTest, StandardizesTexts) {
  const std::string three = R"(, "output_sequence_length": 3)";
  const std::vector<std::string_view> texts{" \tFoo,\v bar!\r\n"};
  expect_tensor(vectorize(three, texts), {1, 3}, Floats{2, 3, 0});
  expect_tensor(vectorize(three + R"(, "standardize": "lower")", texts), {1, 3}, Floats{1, 1, 0});
  expect_tensor(vectorize(three + R"(, "standardize": "strip_punctuation")", texts), {1, 3},
                Floats{1, 3, 0});
  expect_tensor(vectorize(three + R"(, "standardize": null)", {"foo baz foo."}), {1, 3},
                Floats{2, 4, 1});
  // All punctuation of ASCII goes, even inside a word; letters beyond ASCII keep their case.
  expect_tensor(vectorize(three, {R"(!"#$%&f()*+,-./:;<=>?@o[\]^_`{|}~'o É é)"}), {1, 3},
                Floats{2, 1, 6});
}

TEST(TextVectorizationTest, SplitsIntoCharacters) {
  const std::string options = R"(, "split": "character", "output_sequence_length": 5)";
  expect_tensor(vectorize(options, {"É中a", "é-中 \xFF"}), {2, 5},
                Floats{1, 7, 1, 0, 0, 6, 7, 1, 1, 0});
}

// What is no UTF-8 becomes U+FFFD, as often as the Unicode Standard advises.
TEST(TextVectorizationTest, ReplacesWhatIsNoCharacter) {
  const LayerCase layer{.class_name = "TextVectorization",
                        .config = R"({"vocabulary": ["\ufffd", "x"], "split": "character",
                                      "standardize": null, "output_sequence_length": 5})",
                        .inputs = {Tensor::of_strings(
                            {4}, std::vector<std::string_view>{"\xF0\x9F\x98x", "\xE0\x80x",
                                                               "\xC3x\xF4\x90", "\xED\xA0\x80"})}};
  expect_tensor(run_layer(layer).outputs[0], {4, 5},
                Floats{2, 3, 0, 0, 0, 2, 2, 3, 0, 0, 2, 3, 2, 2, 0, 2, 2, 2, 0, 0});
}

TEST(TextVectorizationTest, JoinsWordsToNgrams) {
  const std::string five = R"(, "output_sequence_length": 5)";
  // All words, then all pairs.
  expect_tensor(vectorize(five + R"(, "ngrams": 2)", {"Foo bar foo", "foo"}), {2, 5},
                Floats{2, 3, 2, 5, 1, 2, 0, 0, 0, 0});
  expect_tensor(
      vectorize(five + R"(, "ngrams": [2])", {"a  foo bar, an-extraordinarily-long-word"}), {1, 5},
      Floats{1, 5, 1, 0, 0});
  expect_tensor(vectorize(five + R"(, "ngrams": [2, 1])", {"foo bar"}), {1, 5},
                Floats{5, 2, 3, 0, 0});
}

TEST(TextVectorizationTest, CountsWords) {
  const std::vector<std::string_view> texts{"foo foo qux bar", ""};
  expect_tensor(vectorize(R"(, "output_mode": "count")", texts), {2, 7},
                Floats{1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_tensor(vectorize(R"(, "output_mode": "multi_hot", "ngrams": 2)", texts), {2, 7},
                Floats{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  expect_tensor(vectorize(R"(, "output_mode": "multi_hot", "max_tokens": 9,
                             "pad_to_max_tokens": true)",
                          {"foo bar"}),
                {1, 9}, Floats{0, 1, 1, 0, 0, 0, 0, 0, 0});
  expect_tensor(vectorize(R"(, "output_mode": "tf_idf", "idf_weights": [1, 2, 3, 4, 5, 6])",
                          {"foo foo qux bar"}),
                {1, 7}, Floats{3.5F, 2, 2, 0, 0, 0, 0});
}

TEST(TextVectorizationTest, TakesTextsThatAreSplitAlready) {
  const std::string whole = R"(, "split": null)";
  expect_tensor(run_layer(text_case(whole, {2, 2}, {"Foo bar", "baz", "", "qux"})).outputs[0],
                {2, 2}, Floats{5, 4, 0, 1});
  expect_tensor(
      run_layer(text_case(whole + R"(, "output_sequence_length": 3)", {1, 2}, {"foo", "Baz!"}))
          .outputs[0],
      {1, 3}, Floats{2, 4, 0});
  expect_tensor(
      run_layer(text_case(whole + R"(, "output_sequence_length": 1)", {1, 2}, {"foo", "baz"}))
          .outputs[0],
      {1, 1}, Floats{2});
  expect_tensor(
      run_layer(text_case(whole + R"(, "output_mode": "count")", {1, 3}, {"foo", "baz", "foo"}))
          .outputs[0],
      {1, 7}, Floats{0, 2, 0, 1, 0, 0, 0});
}

TEST(TextVectorizationTest, RefusesPythonFunctions) {
  for (const char* option : {R"(, "standardize": "custom_standardization")",
                             R"(, "split": {"class_name": "function", "config": "mine"})"}) {
    const Error error = refusal_of(text_case(option, {1}, {"a"}));
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("Python function"));
  }
}

TEST(TextVectorizationTest, RefusesWhatIsNoBatchOfTexts) {
  EXPECT_THAT(refusal_of(text_case(R"(, "output_sequence_length": 3)", {1, 2}, {"a", "b"})).what(),
              HasSubstr("cannot be split"));
  LayerCase numbers = text_case(R"(, "output_sequence_length": 3)", {1}, {"a"});
  numbers.inputs = {ints({1}, {1})};
  EXPECT_THAT(refusal_of(numbers).what(), HasSubstr("called with int32, not with strings"));
  EXPECT_THAT(refusal_of(text_case(R"(, "ragged": true)", {1}, {"a"})).what(), HasSubstr("ragged"));
  EXPECT_THAT(refusal_of(text_case(R"(, "ngrams": [0])", {1}, {"a"})).what(), HasSubstr("ngrams"));
}

}  // namespace
}  // namespace kerf::layers
