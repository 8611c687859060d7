#include "layers/activation.h"

namespace kerf::layers {
namespace {

void lower_dense(LayerCall& call) {
  const ValueId x = call.float_input();
  const std::int64_t units = call.config().size("units");
  if (call.shape(x).rank() < 2) call.config().invalid("units", "needs an input with channels");
  std::vector<ValueId> operands{x, call.weight("kernel", {call.shape(x).back(), units})};
  program::Linear op;
  if (call.config().boolean("use_bias", true)) {
    operands.push_back(call.weight("bias", {units}));
    op.epilogue.bias = true;
  }
  const ValueId y = call.ops().append(op, std::move(operands));
  call.output_passing_mask(apply_activation(call, y, "activation"));
}

}  // namespace

void register_dense(Registry& registry);
void register_dense(Registry& registry) {
  registry.add({.class_name = "Dense", .lower = lower_dense});
}

}  // namespace kerf::layers
