#include <gmock/gmock.h>

#include "tests/layers/run_layer.h"

// What Keras' documentation shows, unless a test says otherwise.
namespace kerf::layers {
namespace {

using testing::HasSubstr;

Tensor letters(const Shape& shape, const std::vector<std::string_view>& values) {
  return Tensor::of_strings(shape, values);
}

Tensor hash(const std::string& config, const Tensor& x) {
  return run_layer({.class_name = "Hashing", .config = config, .inputs = {x}}).outputs[0];
}

TEST(HashingTest, HashesStrings) {
  const Tensor x = letters({5, 1}, {"A", "B", "C", "D", "E"});
  const Tensor bins = hash(R"({"num_bins": 3, "dtype": "int64"})", x);
  EXPECT_EQ(bins.dtype(), DType::kInt64);
  expect_tensor(bins, {5, 1}, Floats{1, 0, 1, 1, 2});
  expect_tensor(
      hash(R"({"num_bins": 3, "mask_value": ""})", letters({5, 1}, {"A", "B", "", "C", "D"})),
      {5, 1}, Floats{1, 1, 0, 2, 2});
}

TEST(HashingTest, HashesUnderAKey) {
  const Tensor x = letters({5, 1}, {"A", "B", "C", "D", "E"});
  expect_tensor(hash(R"({"num_bins": 3, "salt": [133, 137]})", x), {5, 1}, Floats{1, 2, 1, 0, 2});
  expect_tensor(hash(R"({"num_bins": 3, "salt": 133})", x), {5, 1}, Floats{0, 0, 2, 1, 0});
}

// An integer hashes as its digits (not in the documentation).
TEST(HashingTest, HashesNumbersAsText) {
  const Tensor text = hash(R"({"num_bins": 1000})", letters({4}, {"0", "-7", "123456789", "3"}));
  const Tensor numbers = hash(R"({"num_bins": 1000})", ints({4}, {0, -7, 123456789, 3}));
  EXPECT_TRUE(std::ranges::equal(text.as<std::int64_t>(), numbers.as<std::int64_t>()));
  const Tensor rounded = hash(R"({"num_bins": 1000})", floats({4}, {0.5F, -7.9F, 3, 3.2F}));
  EXPECT_EQ(rounded.as<std::int64_t>()[1], text.as<std::int64_t>()[1]);
  EXPECT_EQ(rounded.as<std::int64_t>()[3], text.as<std::int64_t>()[3]);
  const Tensor masked = hash(R"({"num_bins": 1000, "mask_value": 3})", ints({2}, {3, 0}));
  EXPECT_EQ(masked.as<std::int64_t>()[0], 0);
  EXPECT_NE(masked.as<std::int64_t>()[1], 0);
}

TEST(HashingTest, EncodesBins) {
  const Tensor x = letters({2, 2}, {"A", "B", "C", "D"});
  expect_tensor(hash(R"({"num_bins": 3, "output_mode": "multi_hot"})", x), {2, 3},
                Floats{1, 1, 0, 0, 1, 0});
  expect_tensor(hash(R"({"num_bins": 3, "output_mode": "count"})", x), {2, 3},
                Floats{1, 1, 0, 0, 2, 0});
  expect_tensor(hash(R"({"num_bins": 3, "output_mode": "one_hot"})", letters({2, 1}, {"A", "E"})),
                {2, 3}, Floats{0, 1, 0, 0, 0, 1});
}

TEST(HashingTest, RefusesWhatItCannotHash) {
  const Error error = refusal_of({.class_name = "Hashing",
                                  .config = R"({"num_bins": 3, "mask_value": 1})",
                                  .inputs = {letters({1}, {"A"})}});
  EXPECT_THAT(error.what(), HasSubstr("mask_value"));
  EXPECT_THAT(refusal_of({.class_name = "Hashing",
                          .config = R"({"num_bins": 3, "salt": [1, 2, 3]})",
                          .inputs = {letters({1}, {"A"})}})
                  .what(),
              HasSubstr("salt"));
}

TEST(HashedCrossingTest, CrossesFeatures) {
  const Tensor letter = letters({5}, {"A", "B", "A", "B", "A"});
  const Tensor number = ints({5}, {101, 101, 101, 102, 102});
  expect_tensor(run_layer({.class_name = "HashedCrossing",
                           .config = R"({"num_bins": 5})",
                           .inputs = {letter, number}})
                    .outputs[0],
                {5}, Floats{1, 4, 1, 1, 3});
  expect_tensor(run_layer({.class_name = "HashedCrossing",
                           .config = R"({"num_bins": 5, "output_mode": "one_hot"})",
                           .inputs = {letter.reshaped({5, 1}), number.reshaped({5, 1})}})
                    .outputs[0],
                {5, 5},
                Floats{0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0});
  EXPECT_THAT(refusal_of({.class_name = "HashedCrossing",
                          .config = R"({"num_bins": 5})",
                          .inputs = {letter.reshaped({1, 5}), number.reshaped({1, 5})}})
                  .what(),
              HasSubstr("cannot be crossed"));
}

}  // namespace
}  // namespace kerf::layers
