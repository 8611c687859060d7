#include <fmt/format.h>

#include <cmath>

#include "layers/operation.h"

// keras.ops.dot_product_attention: queries, keys and values (batch, steps, heads, channels).
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reshape;

// Scores with a bias have no op of their own.
ValueId with_bias(Operation& op, ValueId q, ValueId k, ValueId v, std::optional<ValueId> mask,
                  double scale) {
  const ValueId queries = op.transpose({0, 2, 1, 3}, q);
  const ValueId keys = op.transpose({0, 2, 1, 3}, k);
  ValueId scores = op.ops().append(
      program::MatMul{.transpose_b = true, .scale = static_cast<float>(scale)}, {queries, keys});
  scores = op.binary(Binary::Kind::kAdd, scores, op.to_float(op.tensor("bias")));
  if (mask) scores = op.select(*mask, scores, op.number(-2.38e38, DType::kFloat32));
  const ValueId shares = op.ops().append(program::Softmax{}, {scores});
  const ValueId y = op.ops().append(program::MatMul{}, {shares, op.transpose({0, 2, 1, 3}, v)});
  return op.transpose({0, 2, 1, 3}, y);
}

void lower_attention(Operation& op) {
  const ValueId q = op.to_float(op.tensor("query"));
  const ValueId k = op.to_float(op.tensor("key"));
  const ValueId v = op.to_float(op.tensor("value"));
  for (const ValueId x : {q, k, v}) {
    if (op.rank(x) != 4 || op.shape(x)[2] < 1 || op.shape(x)[3] < 1) {
      op.invalid("query", fmt::format("or key or value has the shape {}", op.shape(x).to_string()));
    }
  }
  const std::int64_t heads = op.shape(q)[2];
  const std::int64_t key_heads = op.shape(k)[2];
  const std::int64_t width = op.shape(q)[3];
  const double scale = op.arguments().number("scale", 1 / std::sqrt(static_cast<double>(width)));
  const bool causal = op.arguments().boolean("is_causal", false);
  std::optional<ValueId> mask;
  if (op.has("mask")) {
    mask = op.to_bool(op.tensor("mask"));
    while (op.rank(*mask) < 4) mask = op.with_axis(*mask, op.rank(*mask) < 3 ? 0 : 1);
  }
  if (op.has("bias")) {
    if (causal || heads != key_heads) {
      op.unsupported("bias", "with a causal mask or shared keys");
    }
    op.output(with_bias(op, q, k, v, mask, scale));
    return;
  }
  const auto flat = [&](ValueId x) {
    return op.reshape({Reshape::copy(0), Reshape::copy(1), op.shape(x)[2] * op.shape(x)[3]}, x);
  };
  const program::Attention attention{.heads = heads,
                                     .key_heads = key_heads,
                                     .scale = static_cast<float>(scale),
                                     .causal = causal,
                                     .mask = mask.has_value()};
  std::vector<ValueId> operands{flat(q), flat(k), flat(v)};
  if (mask) operands.push_back(*mask);
  const ValueId y = op.ops().append(attention, std::move(operands));
  op.output(op.reshape({Reshape::copy(0), Reshape::copy(1), heads, op.shape(v)[3]}, y));
}

}  // namespace

void register_dot_product_attention(Registry& registry);
void register_dot_product_attention(Registry& registry) {
  add_operations(registry, {"DotProductAttention"},
                 {"query", "key", "value", "bias", "mask", "scale", "is_causal", "flash_attention",
                  "attn_logits_soft_cap"},
                 {"is_causal", "flash_attention", "attn_logits_soft_cap"}, lower_attention);
}

}  // namespace kerf::layers
