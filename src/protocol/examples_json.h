#pragma once

#include <span>
#include <string>

#include "tensorflow_serving/prediction_service.pb.h"

namespace kerf::protocol {

// Reads the body of TensorFlow Serving's :classify and :regress calls into `input`. Strings and
// {"b64": base64} become bytes, numbers with a point or an exponent floats, integers and booleans
// integers. Returns the signature's name, empty for the default one. `body` has kBodyPadding
// readable bytes behind it. Throws Error(kInvalidArgument).
std::string read_examples_json(std::span<const char> body, tensorflow::serving::Input& input);

}  // namespace kerf::protocol
