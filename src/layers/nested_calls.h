#pragma once

#include "layers/model_spec.h"

namespace kerf::layers {

// Makes every reference to a call of a nested model the index of that call in LayerSpec::calls.
// Keras 2 counts the call that made the nested model as its first, Keras 3 does so in a model's
// outputs only, and not for Sequential ones; some versions do neither.
void renumber_nested_calls(ModelSpec& model, bool keras3);

}  // namespace kerf::layers
