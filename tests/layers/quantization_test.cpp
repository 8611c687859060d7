#include <gmock/gmock.h>

#include <cmath>

#include "tests/layers/run_layer.h"

namespace kerf::layers {
namespace {

using testing::HasSubstr;

// Two inputs, two units.
LayerCase dense(const std::string& policy, std::map<std::string, Floats> weights,
                const std::string& more = "") {
  return {.class_name = "Dense",
          .config = R"({"units": 2, "dtype": )" + policy + more + "}",
          .inputs = {floats({2, 2}, {1, -0.5F, 0.25F, 2})},
          .weights = std::move(weights)};
}

// x as Keras' AbsMaxQuantizer makes it of a row.
Floats rounded(const Floats& row) {
  float largest = 0;
  for (const float value : row) largest = std::max(largest, std::abs(value));
  const float factor = 127 / (largest + 1e-7F);
  Floats result;
  for (const float value : row) result.push_back(std::nearbyint(value * factor) / factor);
  return result;
}

TEST(QuantizedDenseTest, Int8RoundsTheInputsRowByRow) {
  const std::string object = R"({"module": "keras.dtype_policies",
      "class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}})";
  for (const std::string& policy : {object, std::string(R"("int8_from_float32")")}) {
    const LayerCase layer = dense(
        policy, {{"kernel", {10, -20, 30, 127}}, {"bias", {0.5F, -1}}, {"kernel_scale", {10, 5}}});
    Floats expected;
    for (const Floats& row : {Floats{1, -0.5F}, Floats{0.25F, 2}}) {
      const Floats q = rounded(row);
      expected.push_back((q[0] * 10 + q[1] * 30) / 10 + 0.5F);
      expected.push_back((q[0] * -20 + q[1] * 127) / 5 - 1);
    }
    expect_tensor(run_layer(layer).outputs[0], {2, 2}, expected);
  }
  // Of the weights alone.
  const LayerCase weights_only = dense(
      object, {{"kernel", {10, -20, 30, 127}}, {"bias", {0.5F, -1}}, {"kernel_scale", {10, 5}}},
      R"(, "quantization_config": {"class_name": "Int8QuantizationConfig",
                "config": {"weight_quantizer": {}, "activation_quantizer": null}})");
  expect_tensor(run_layer(weights_only).outputs[0], {2, 2},
                Floats{1 - 1.5F + 0.5F, -4 - 12.7F - 1, 0.25F + 6 + 0.5F, -1 + 50.8F - 1});
}

TEST(QuantizedDenseTest, Int4PacksTwoWeightsInAByte) {
  // Units 3 and -4 of input 0, -8 and 7 of input 1: the first of a pair in the lower half.
  LayerCase layer = dense(R"("int4_from_float32")",
                          {{"kernel", {static_cast<float>(static_cast<std::int8_t>(0xC3)), 0x78}},
                           {"bias", {0, 0}},
                           {"kernel_scale", {2, 4}}});
  expect_tensor(run_layer(layer).outputs[0], {2, 2},
                Floats{1.5F + 2, -1 - 0.875F, 0.375F - 8, -0.25F + 3.5F});
  // Before Keras 3.14 the pairs stood below each other, and inputs were rounded too.
  layer.version = {3, 12};
  layer.weights["kernel"] = {static_cast<float>(static_cast<std::int8_t>(0x83)), 0x7C};
  Floats expected;
  for (const Floats& row : {Floats{1, -0.5F}, Floats{0.25F, 2}}) {
    const Floats q = rounded(row);
    expected.push_back((q[0] * 3 + q[1] * -8) / 2);
    expected.push_back((q[0] * -4 + q[1] * 7) / 4);
  }
  expect_tensor(run_layer(layer).outputs[0], {2, 2}, expected);
}

TEST(QuantizedDenseTest, Int4MayHaveAScaleForEachGroup) {
  const LayerCase layer = dense(R"({"class_name": "Int4DTypePolicy",
                                    "config": {"mode": "int4/1", "source_name": "float32"}})",
                                {{"kernel", {0x21, 0x43}},
                                 {"bias", {0, 0}},
                                 {"kernel_scale", {1, 10, 2, 20}},
                                 {"kernel_zero", {0, 1, 1, 0}},
                                 {"g_idx", {0, 1}}});
  // Matrix: (1 - 0) * 1, (2 - 1) * 10; (3 - 1) * 2, 4 * 20.
  expect_tensor(run_layer(layer).outputs[0], {2, 2}, Floats{1 - 2, 10 - 40, 0.25F + 8, 2.5F + 160});
}

TEST(QuantizedDenseTest, GptqAndAwqPackTheTransposedMatrix) {
  // Byte i: units 0 and 1 of input i.
  std::map<std::string, Floats> weights{{"bias", {0, 0}},
                                        {"kernel", {0x91, 0xF2}},
                                        {"kernel_scale", {0.5F, 2}},
                                        {"kernel_zero", {1, 8}},
                                        {"g_idx", {0, 0}}};
  // Matrix: 0, 2; 0.5, 14.
  const Floats expected{-0.25F, 2 - 7, 1, 0.5F + 28};
  expect_tensor(run_layer(dense(R"("gptq/4/-1_from_float32")", weights)).outputs[0], {2, 2},
                expected);
  weights["awq_scales"] = {1, 2};
  expect_tensor(run_layer(dense(R"("awq/4/-1_from_float32")", weights)).outputs[0], {2, 2},
                Floats{-0.125F, 2 - 3.5F, 0.5F, 0.5F + 14});
}

TEST(QuantizedDenseTest, TernaryPacksFiveSignsInAByte) {
  // Input 0: 1 and 0, input 1: -1 and 1, as digits less one.
  const LayerCase layer =
      dense(R"("ternary_from_float32")",
            {{"kernel", {2 + 0 * 3, 1 + 2 * 3}}, {"bias", {0, 1}}, {"kernel_scale", {0.5F}}});
  expect_tensor(run_layer(layer).outputs[0], {2, 2}, Floats{0.75F, 0.75F, 0.125F - 1, 2});
}

TEST(QuantizedDenseTest, Float8RoundsInputsAndWeights) {
  const LayerCase layer{
      .class_name = "Dense",
      .config = R"({"units": 1, "dtype": {"class_name": "QuantizedFloat8DTypePolicy",
          "config": {"mode": "float8", "source_name": "float32", "amax_history_length": 2}}})",
      .inputs = {floats({1, 2}, {17, 0.3F})},
      .weights = {{"kernel", {1.0625F, 2}},
                  {"bias", {1.001F}},
                  {"inputs_scale", {1}},
                  {"inputs_amax_history", {0, 0}},
                  {"kernel_scale", {0.5F}},
                  {"kernel_amax_history", {0, 0}},
                  {"outputs_grad_scale", {1}},
                  {"outputs_grad_amax_history", {0, 0}}}};
  // 17 lies between 16 and 18, the even one is 16; 0.3 is near 0.3125; 2.125 becomes 2, halved 1.
  expect_tensor(run_layer(layer).outputs[0], {1, 1}, Floats{16 + 0.625F + 1});
}

TEST(QuantizedEmbeddingTest, ScalesEachRow) {
  const LayerCase bytes{
      .class_name = "Embedding",
      .config = R"({"input_dim": 2, "output_dim": 3,
                                      "dtype": "int8_from_float32"})",
      .inputs = {ints({1, 2}, {1, 0})},
      .weights = {{"embeddings", {127, 0, -127, 10, 20, 30}}, {"embeddings_scale", {127, 10}}}};
  expect_tensor(run_layer(bytes).outputs[0], {1, 2, 3}, Floats{1, 2, 3, 1, 0, -1});
  const LayerCase nibbles{
      .class_name = "Embedding",
      .config = R"({"input_dim": 2, "output_dim": 3,
                                        "dtype": "int4_from_float32"})",
      .inputs = {ints({1, 2}, {1, 0})},
      .weights = {{"embeddings", {0x21, 0x0F, 0x70, 0x08}}, {"embeddings_scale", {1, 2}}}};
  expect_tensor(run_layer(nibbles).outputs[0], {1, 2, 3}, Floats{0, 3.5F, -4, 1, 2, -1});
}

TEST(QuantizedEinsumDenseTest, HasScalesInTheOrderOfTheOutput) {
  const LayerCase layer{
      .class_name = "EinsumDense",
      .config = R"({"equation": "abc,cde->abde", "output_shape": [1, 2, 1],
                                      "bias_axes": "de", "dtype": "int8_from_float32"})",
      .inputs = {floats({1, 1, 2}, {1, 1})},
      .weights = {{"kernel", {1, 2, 3, 4}}, {"bias", {10, 20}}, {"kernel_scale", {2, 4}}}};
  expect_tensor(run_layer(layer).outputs[0], {1, 1, 2, 1}, Floats{12, 21.5F});
}

TEST(QuantizedAttentionTest, HasAPolicyForEachProjection) {
  const LayerCase layer{.class_name = "MultiHeadAttention",
                        .config = R"({"num_heads": 1, "key_dim": 2, "use_bias": false, "dtype": {
          "class_name": "DTypePolicyMap", "config": {"default_policy": "float32",
          "policy_map": {"layer/value": "int8_from_float32"}}}})",
                        .inputs = {floats({1, 1, 2}, {1, -1})},
                        .weights = {{"query_dense/kernel", {1, 0, 0, 1}},
                                    {"key_dense/kernel", {1, 0, 0, 1}},
                                    {"value_dense/kernel", {1, 2, 3, 4}},
                                    {"value_dense/kernel_scale", {2, 4}},
                                    {"output_dense/kernel", {1, 0, 0, 1}}},
                        .arguments = R"({"args": [$0, $0], "kwargs": {}})"};
  expect_tensor(run_layer(layer).outputs[0], {1, 1, 2}, Floats{-1, -0.5F});
}

TEST(QuantizationTest, UnknownModesAreRefusedByName) {
  EXPECT_THAT(refusal_of(dense(R"("int2_from_float32")", {})).what(), HasSubstr("int2_from"));
  EXPECT_THAT(refusal_of(dense(R"("gptq/5/128_from_float32")", {})).what(), HasSubstr("5 bits"));
  EXPECT_THAT(refusal_of(dense(R"("int4/x_from_float32")", {})).what(), HasSubstr("'x'"));
}

}  // namespace
}  // namespace kerf::layers
