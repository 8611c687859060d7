#include "layers/activation.h"
#include "layers/quantization.h"

namespace kerf::layers {
namespace {

void lower_dense(LayerCall& call) {
  const ValueId x = call.float_input();
  const std::int64_t units = call.config().size("units");
  if (call.shape(x).rank() < 2) call.config().invalid("units", "needs an input with channels");
  const std::int64_t in = call.shape(x).back();
  const DenseWeights weights = dense_weights(call, quantization_of(call),
                                             {.path = "",
                                              .rows = in,
                                              .columns = units,
                                              .kernel = {in, units},
                                              .bias = {units},
                                              .kernel_scale = {units},
                                              .has_bias = call.config().boolean("use_bias", true)});
  call.output_passing_mask(apply_activation(call, dense_product(call, x, weights), "activation"));
}

}  // namespace

void register_dense(Registry& registry);
void register_dense(Registry& registry) {
  registry.add({.class_name = "Dense", .lower = lower_dense});
}

}  // namespace kerf::layers
