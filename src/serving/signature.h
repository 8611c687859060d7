#pragma once

#include <string>
#include <vector>

#include "kerf/model.h"

namespace kerf::serving {

// What a call of a model may be known as, where clients cannot name what they fetch: the whole
// model, or a named cut. Inputs and outputs are addresses, with their types and shapes.
struct Signature {
  std::string name;
  std::vector<TensorInfo> inputs;
  std::vector<TensorInfo> outputs;
};

// The name of the whole model's, as TensorFlow has it.
inline constexpr const char* kDefaultSignature = "serving_default";

}  // namespace kerf::serving
