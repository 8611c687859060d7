#include <gmock/gmock.h>

#include <cmath>
#include <map>
#include <random>

#include "tests/layers/run_layer.h"
#include "tests/support/make_model.h"

namespace kerf::layers {
namespace {

using testing_support::random_tensor;

Floats values_of(const Tensor& tensor) {
  return {tensor.as<float>().begin(), tensor.as<float>().end()};
}

class AttentionLayersTest : public testing::Test {
 protected:
  Floats random(const Shape& shape) { return values_of(random_tensor(shape, random_)); }
  std::mt19937 random_{8};
};

// The sum of products that an equation writes, over sizes by letter.
Floats einsum(const std::string& x, const std::string& kernel, const std::string& y,
              const std::map<char, int>& sizes, const Floats& a, const Floats& b) {
  std::string letters = y;
  for (const char c : x + kernel) {
    if (letters.find(c) == std::string::npos) letters += c;
  }
  std::map<char, int> index;
  const auto offset = [&](const std::string& of) {
    std::size_t at = 0;
    for (const char c : of)
      at = at * static_cast<std::size_t>(sizes.at(c)) + static_cast<std::size_t>(index[c]);
    return at;
  };
  std::size_t count = 1;
  for (const char c : y) count *= static_cast<std::size_t>(sizes.at(c));
  Floats result(count);
  for (;;) {
    result[offset(y)] += a[offset(x)] * b[offset(kernel)];
    std::size_t i = letters.size();
    while (i > 0 && ++index[letters[i - 1]] == sizes.at(letters[i - 1])) index[letters[--i]] = 0;
    if (i == 0) return result;
  }
}

TEST_F(AttentionLayersTest, EinsumDenseIsTheSumItsEquationWrites) {
  const std::map<char, int> sizes{{'a', 2}, {'b', 3}, {'c', 4}, {'d', 5}, {'e', 2}};
  struct Case {
    const char* x;
    const char* kernel;
    const char* y;
    const char* output_shape;
  };
  for (const Case& c : {Case{"ab", "bc", "ac", "[4]"}, Case{"abc", "cd", "abd", "[null, 5]"},
                        Case{"abc", "cde", "abde", "[3, 5, 2]"}, Case{"abc", "bcd", "ad", "[5]"},
                        Case{"abc", "bcd", "abd", "[3, 5]"}, Case{"abc", "dbc", "adb", "[5, 3]"},
                        Case{"abc", "cd", "adb", "[5, null]"}}) {
    SCOPED_TRACE(std::string(c.x) + "," + c.kernel + "->" + c.y);
    const auto shape = [&](const std::string& letters) {
      Shape result;
      for (const char letter : letters) result.push_back(sizes.at(letter));
      return result;
    };
    const Tensor x = random_tensor(shape(c.x), random_);
    const Floats kernel = random(shape(c.kernel));
    const LayerResult result =
        run_layer({.class_name = "EinsumDense",
                   .config = std::string(R"({"equation": ")") + c.x + "," + c.kernel + "->" + c.y +
                             R"(", "output_shape": )" + c.output_shape + "}",
                   .inputs = {x},
                   .weights = {{"kernel", kernel}}});
    expect_tensor(result.outputs[0], shape(c.y),
                  einsum(c.x, c.kernel, c.y, sizes, values_of(x), kernel));
  }
}

TEST_F(AttentionLayersTest, HeadsOfAGroupShareTheirKeys) {
  const Tensor q = random_tensor({2, 5, 6}, random_);
  const Tensor v = random_tensor({2, 3, 6}, random_);
  std::map<std::string, Floats> grouped;
  std::map<std::string, Floats> plain;
  for (const char* name : {"query", "key", "value"}) {
    const bool query = std::string(name) == "query";
    for (const auto& [weight, rows] : std::map<std::string, int>{{"kernel", 6}, {"bias", 1}}) {
      const Floats own = random({rows, query ? 4 : 2, 3});
      const std::string path = std::string("_") + name + "_dense/" + weight;
      grouped[path] = own;
      Floats repeated;
      for (int row = 0; row < rows; ++row) {
        for (int head = 0; head < 4; ++head) {
          const int from = query ? row * 4 + head : row * 2 + head / 2;
          repeated.insert(repeated.end(), own.begin() + from * 3, own.begin() + from * 3 + 3);
        }
      }
      plain[path.substr(1)] = repeated;
    }
  }
  grouped["_output_dense/kernel"] = plain["output_dense/kernel"] = random({4, 3, 6});
  grouped["_output_dense/bias"] = plain["output_dense/bias"] = random({6});
  const std::string arguments =
      R"({"args": [$0], "kwargs": {"value": $1, "use_causal_mask": true}})";
  const LayerResult one = run_layer({.class_name = "GroupQueryAttention",
                                     .config = R"({"head_dim": 3, "num_query_heads": 4,
                                       "num_key_value_heads": 2})",
                                     .inputs = {q, v},
                                     .weights = grouped,
                                     .arguments = arguments});
  const LayerResult other = run_layer({.class_name = "MultiHeadAttention",
                                       .config = R"({"num_heads": 4, "key_dim": 3})",
                                       .inputs = {q, v},
                                       .weights = plain,
                                       .arguments = arguments});
  expect_tensor(one.outputs[0], {2, 5, 6}, values_of(other.outputs[0]));
}

// Attention over both axes of an image is attention over its cells.
TEST_F(AttentionLayersTest, GoesOverSeveralAxes) {
  std::map<std::string, Floats> weights;
  for (const char* name : {"query", "key", "value"}) {
    weights[std::string(name) + "_dense/kernel"] = random({3, 2, 4});
    weights[std::string(name) + "_dense/bias"] = random({2, 4});
  }
  weights["output_dense/kernel"] = random({2, 4, 3});
  weights["output_dense/bias"] = random({3});
  const auto run = [&](const Tensor& x, const std::string& config) {
    return run_layer({.class_name = "MultiHeadAttention",
                      .config = R"({"num_heads": 2, "key_dim": 4)" + config + "}",
                      .inputs = {x},
                      .weights = weights,
                      .arguments = R"({"args": [$0, $0], "kwargs": {}})"})
        .outputs[0];
  };
  const Tensor image = random_tensor({2, 2, 3, 3}, random_);
  const Floats cells = values_of(run(image.reshaped({2, 6, 3}), ""));
  expect_tensor(run(image, R"(, "attention_axes": [1, 2])"), {2, 2, 3, 3}, cells);
  // Over the rows of each: the columns are as good as a batch.
  const Floats rows = values_of(run(image.reshaped({4, 3, 3}), ""));
  expect_tensor(run(image, R"(, "attention_axes": [2])"), {2, 2, 3, 3}, rows);
}

// Without an axis of steps, Keras' product of matrices goes over the batch.
TEST_F(AttentionLayersTest, SamplesAttendToEachOtherWhereThereAreNoSteps) {
  const float share = 1 / (1 + std::exp(-1.0F));
  const LayerCase layer{.class_name = "Attention",
                        .inputs = {floats({2, 2}, {1, 0, 0, 1}), floats({2, 2}, {1, 0, 0, 1})}};
  expect_tensor(run_layer(layer).outputs[0], {2, 2}, Floats{share, 1 - share, 1 - share, share});
}

}  // namespace
}  // namespace kerf::layers
