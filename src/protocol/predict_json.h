#pragma once

#include <span>
#include <string_view>

#include "protocol/buffer.h"
#include "protocol/infer_request.h"
#include "protocol/infer_tensors.h"
#include "serving/signature.h"

namespace kerf::protocol {

// The :predict bodies of TensorFlow Serving's REST interface. All functions throw
// Error(kInvalidArgument).

// A request, as far as it can be read without knowing the signature. Refers to the body, and to
// memory of the thread until it reads the next.
struct PredictJson {
  std::string_view signature;  // empty: the default one
  bool row = false;            // "instances", not "inputs"
  std::string_view value;      // the JSON of either
};
// `body` has kBodyPadding readable bytes behind it.
PredictJson read_predict_json(std::span<const char> body);

// Makes the tensors of a request inputs of `request`, which refer to the body and to its own
// memory. They are typed as the signature has them; tensors that it has not, which the default
// signature allows, are FP32.
void read_predict_tensors(const PredictJson& json, const serving::Signature& signature,
                          InferRequest& request);

// The reply: {"predictions": ...} to rows, {"outputs": ...} to columns.
void write_predict_json(Buffer& out, std::span<const InferTensors::Output> outputs, bool row);

}  // namespace kerf::protocol
