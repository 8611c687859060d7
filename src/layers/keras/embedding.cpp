#include <boost/json/value.hpp>

#include "layers/quantization.h"

namespace kerf::layers {
namespace {

// The rows that the input names, with the mask of those that are not row 0 if that is asked for.
void output_rows(LayerCall& call, ValueId table) {
  program::ProgramBuilder& ops = call.ops();
  const ValueId ids = call.input();
  const ValueId rows = ops.append(program::Gather{}, {ids, table});
  if (!call.config().boolean("mask_zero", false)) {
    call.output(rows);
    return;
  }
  const float zero = 0;
  const ValueId none =
      ops.constant(Tensor::floats(Shape{}, std::span(&zero, 1)).cast(call.ops().type(ids).dtype));
  call.output(rows, ops.append(program::Binary{program::Binary::Kind::kNotEqual}, {ids, none}));
}

void lower_embedding(LayerCall& call) {
  const Config& config = call.config();
  output_rows(call, embedding_table(call, quantization_of(call), "embeddings",
                                    config.size("input_dim"), config.size("output_dim")));
}

Tensor transposed(std::span<const Tensor> sources, double) {
  const Shape& shape = sources[0].shape();
  const auto rows = static_cast<std::size_t>(shape[0]);
  const auto columns = static_cast<std::size_t>(shape[1]);
  const auto x = sources[0].as<float>();
  std::vector<float> y(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) y[i % columns * rows + i / columns] = x[i];
  return Tensor::floats({shape[1], shape[0]}, y);
}

bool is_reverse(LayerCall& call) {
  const boost::json::object& arguments = call.arguments();
  const boost::json::value* kwargs = arguments.if_contains("kwargs");
  const boost::json::value* reverse = kwargs != nullptr && kwargs->is_object()
                                          ? kwargs->get_object().if_contains("reverse")
                                          : nullptr;
  return reverse != nullptr && reverse->is_bool() && reverse->get_bool();
}

// An embedding that also turns vectors back into one number for each row of its table.
void lower_reversible_embedding(LayerCall& call) {
  const Config& config = call.config();
  const std::int64_t rows = config.size("input_dim");
  const std::int64_t width = config.size("output_dim");
  const Quantization quantization = quantization_of(call);
  const bool tied = config.boolean("tie_weights", true);
  if (quantization && !tied) {
    config.unsupported("tie_weights", "a quantised table of its own for the way back");
  }
  const ValueId table = embedding_table(call, quantization, "embeddings", rows, width);
  DenseWeights back;
  if (!tied) back.matrix = call.weight("reverse_embeddings", {width, rows});
  if (!is_reverse(call)) {
    output_rows(call, table);
    return;
  }
  if (tied) back.matrix = call.derived("reverse", {table}, {width, rows}, transposed, 0);
  back.rounds_inputs = quantization.inputs;
  ValueId y = dense_product(call, call.float_input(), back);
  if (const auto cap = config.optional_number("logit_soft_cap")) {
    const ValueId bound = call.scalar(static_cast<float>(*cap));
    using Binary = program::Binary;
    y = call.ops().append(Binary{Binary::Kind::kDivide}, {y, bound});
    y = call.activated(y, {program::Function::kTanh});
    y = call.ops().append(Binary{Binary::Kind::kMultiply}, {y, bound});
  }
  call.output(y);
}

}  // namespace

void register_embedding(Registry& registry);
void register_embedding(Registry& registry) {
  registry.add({.class_name = "Embedding", .lower = lower_embedding});
  registry.add({.class_name = "ReversibleEmbedding",
                .lower = lower_reversible_embedding,
                .refuses = {{"tie_weights", "false, where the layer is quantised"}}});
}

}  // namespace kerf::layers
