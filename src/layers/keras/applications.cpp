#include <vector>

#include "layers/registry.h"

// The layers of keras.applications' own networks: ConvNeXt and InceptionResNetV2.
namespace kerf::layers {
namespace {

// Times a weight for each channel.
void lower_layer_scale(LayerCall& call) {
  const ValueId x = call.float_input();
  const ValueId gamma = call.weight("gamma", {call.config().size("projection_dim")});
  call.output_passing_mask(
      call.ops().append(program::Binary{program::Binary::Kind::kMultiply}, {x, gamma}));
}

// The first input, and a share of the second.
void lower_custom_scale(LayerCall& call) {
  if (call.input_count() != 2) call.config().invalid("name", "takes two inputs");
  const ValueId scale = call.scalar(static_cast<float>(call.config().number("scale", 1)));
  const ValueId residual = call.ops().append(program::Binary{program::Binary::Kind::kMultiply},
                                             {call.float_input(1), scale});
  call.output(call.ops().append(program::Binary{program::Binary::Kind::kAdd},
                                {call.float_input(0), residual}));
}

// Drops whole samples, only while a model is trained.
void lower_stochastic_depth(LayerCall& call) { call.output_passing_mask(call.input()); }

}  // namespace

void register_applications(Registry& registry);
void register_applications(Registry& registry) {
  registry.add({.class_name = "LayerScale", .lower = lower_layer_scale, .note = "of ConvNeXt"});
  registry.add({.class_name = "StochasticDepth",
                .lower = lower_stochastic_depth,
                .note = "of ConvNeXt; changes nothing"});
  registry.add({.class_name = "CustomScaleLayer",
                .lower = lower_custom_scale,
                .note = "of InceptionResNetV2"});
}

}  // namespace kerf::layers
