#include "layers/registry.h"

// Layers that do something only while a model is trained.
namespace kerf::layers {
namespace {

void lower_identity(LayerCall& call) { call.output_passing_mask(call.input()); }

// Boxes beside images are cut or filled up to a number; images alone are left as they are.
void lower_box_limit(LayerCall& call) {
  if (call.input_count() != 1) {
    call.config().unsupported("max_number", "is called with boxes beside the images");
  }
  call.output(call.input());
}

// Augmentation of images: what they are without it, as floats, as Keras gives them.
void lower_augmentation(LayerCall& call) {
  if (call.input_count() != 1) {
    call.config().unsupported("name", "is called with labels or boxes beside the images");
  }
  call.output(call.float_input());
}

}  // namespace

void register_identity(Registry& registry);
void register_identity(Registry& registry) {
  for (const char* name :
       {"Identity", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
        "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization"}) {
    registry.add({.class_name = name, .lower = lower_identity, .note = "changes nothing"});
  }
  registry.add({.class_name = "MaxNumBoundingBoxes",
                .lower = lower_box_limit,
                .refuses = {{"max_number", "called with boxes beside the images"}},
                .note = "leaves images as they are"});
  for (const char* name : {"RandomFlip",
                           "RandomRotation",
                           "RandomTranslation",
                           "RandomZoom",
                           "RandomContrast",
                           "RandomBrightness",
                           "RandomHue",
                           "RandomSaturation",
                           "RandomColorJitter",
                           "RandomGrayscale",
                           "RandomInvert",
                           "RandomColorDegeneration",
                           "RandomGaussianBlur",
                           "RandomErasing",
                           "RandomElasticTransform",
                           "RandomPerspective",
                           "RandomSharpness",
                           "RandomPosterization",
                           "RandomShear",
                           "RandomHeight",
                           "RandomWidth",
                           "Solarization",
                           "Equalization",
                           "MixUp",
                           "CutMix",
                           "RandAugment",
                           "AugMix"}) {
    registry.add({.class_name = name,
                  .lower = lower_augmentation,
                  .refuses = {{"name", "called with labels or boxes beside the images"}},
                  .note = "changes nothing"});
  }
}

}  // namespace kerf::layers
