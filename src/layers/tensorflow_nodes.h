#pragma once

#include <string>

#include "layers/model_spec.h"

namespace kerf::layers {

// tf.keras up to 2.3 writes an operation of TensorFlow that was called on symbolic tensors as a
// TensorFlowOpLayer: a node of a TensorFlow graph, with its constant operands beside it. Turns such
// a layer into the keras.ops operation that computes the same. Leaves a layer as it is if it is of
// another class, or its operation is one that kerf does not know. Throws Error(kUnsupported |
// kInvalidFile) at `where` for a node that cannot be read, or that the operation has no equal of.
void translate_tensorflow_node(LayerSpec& layer, const std::string& where);

// The operation of such a layer ("AddV2"), or nothing.
std::string tensorflow_node_operation(const LayerSpec& layer);

}  // namespace kerf::layers
