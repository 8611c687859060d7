#include "layers/activation.h"

// Activation layers: one function of each element, or softmax.
namespace kerf::layers {
namespace {

void lower_activation(LayerCall& call) {
  call.output_passing_mask(apply_activation(call, call.float_input(), "activation"));
}

void lower_function(LayerCall& call) {
  call.output_passing_mask(call.activated(
      call.float_input(), *layer_activation(call.config(), call.layer().class_name)));
}

void lower_prelu(LayerCall& call) {
  call.output_passing_mask(parametric_relu(call, call.float_input(), call.config(), "alpha"));
}

void lower_softmax(LayerCall& call) {
  call.output_passing_mask(softmax(call, call.float_input(), call.config(), call.mask()));
}

}  // namespace

void register_activation(Registry& registry);
void register_activation(Registry& registry) {
  registry.add({.class_name = "Activation", .lower = lower_activation});
  for (const char* name : {"ReLU", "LeakyReLU", "ELU", "ThresholdedReLU"}) {
    registry.add({.class_name = name, .lower = lower_function});
  }
  registry.add({.class_name = "PReLU", .lower = lower_prelu});
  registry.add({.class_name = "Softmax", .lower = lower_softmax});
}

}  // namespace kerf::layers
