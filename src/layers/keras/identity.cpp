#include "layers/registry.h"

// Layers that do something only while a model is trained.
namespace kerf::layers {
namespace {

void lower_identity(LayerCall& call) { call.output_passing_mask(call.input()); }

}  // namespace

void register_identity(Registry& registry);
void register_identity(Registry& registry) {
  for (const char* name :
       {"Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
        "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"}) {
    registry.add({.class_name = name, .lower = lower_identity});
  }
}

}  // namespace kerf::layers
