#include "kerf/error.h"
#include "layers/registry.h"

// Layers that do something only while a model is trained.
namespace kerf::layers {
namespace {

void lower_identity(LayerCall& call) {
  const boost::json::value* kwargs = call.arguments().if_contains("kwargs");
  if (kwargs != nullptr && kwargs->is_object()) {
    const boost::json::value* training = kwargs->get_object().if_contains("training");
    if (training != nullptr && training->is_bool() && training->get_bool()) {
      throw Error(ErrorCode::kUnsupported,
                  "it is called with training=True, which draws random numbers at inference",
                  call.config().where());
    }
  }
  call.output_passing_mask(call.input());
}

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
