#include "layers/registry.h"

namespace kerf::layers {
namespace {

void lower_embedding(LayerCall& call) {
  program::ProgramBuilder& ops = call.ops();
  const ValueId ids = call.input();
  const ValueId table = call.weight(
      "embeddings", {call.config().size("input_dim"), call.config().size("output_dim")});
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

}  // namespace

void register_embedding(Registry& registry);
void register_embedding(Registry& registry) {
  registry.add({.class_name = "Embedding", .lower = lower_embedding});
}

}  // namespace kerf::layers
