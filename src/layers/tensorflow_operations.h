#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "layers/foreign_function.h"
#include "layers/model_spec.h"

namespace kerf::layers {

// tf.keras up to 2.15 writes a TensorFlow function that was called on symbolic tensors as a layer:
// TFOpLambda by the function's symbol, SlicingOpLambda for x[...]. Turns such a layer into the
// keras.ops operation that computes the same, which is how kerf knows it. Leaves a layer as it is
// if it is of another class, or its function is one that kerf does not know. Throws
// Error(kUnsupported) at `where` for arguments that the operation has no equal of.
void translate_tensorflow_operation(LayerSpec& layer, const std::string& where);

// The function of TensorFlow with this symbol, "math.reduce_mean" say; nullptr if kerf does not
// know it.
const ForeignFunction* tensorflow_function(std::string_view symbol);

// The functions that it knows, as TensorFlow calls them, without the modules they are in.
std::vector<std::string_view> tensorflow_functions();

// The symbol of such a layer's function ("math.reduce_mean"), or nothing.
std::string tensorflow_symbol(const LayerSpec& layer);

}  // namespace kerf::layers
