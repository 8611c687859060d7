#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/model.h"

namespace kerf::protocol {

// A tensor given in a request: its declaration, and its elements as they came, as the text of a
// JSON array or as bytes of the binary extension.
struct RequestInput {
  std::string_view name;
  DType datatype = DType::kFloat32;
  Shape shape;
  std::string_view json;  // empty if the elements are binary
  std::span<const std::byte> binary;
};

// A tensor asked for.
struct RequestOutput {
  std::string_view name;
  std::optional<bool> binary;  // as a blob; nothing: as InferRequest::binary_output says
};

// An Open Inference Protocol inference request. Refers to the body it was read from; reused from
// request to request so that reading allocates nothing once it has been used.
struct InferRequest {
  std::optional<std::string_view> id;
  std::vector<RequestInput> inputs;
  std::vector<RequestOutput> outputs;  // empty: all of the model's
  bool binary_output = false;

  std::deque<std::string> unescaped;  // strings that had escapes
  void clear();
};

// Reads the message in `body`, whose first `json_size` bytes are JSON and the rest the blobs of
// binary inputs; at least kBodyPadding bytes behind it must be readable. Throws
// Error(kInvalidArgument) with the field in where().
inline constexpr std::size_t kBodyPadding = 64;
void read_infer_request(std::span<const char> body, std::size_t json_size, InferRequest& request);

// Reads a body without any JSON (Inference-Header-Content-Length: 0): the elements of the one input
// that the model, given by its inputs, has. Unknown dimensions follow from the size; where there
// are several, the batch is 1. A string input gets the whole body as its one element.
void read_raw_request(std::span<const char> body, std::span<const TensorInfo> inputs,
                      InferRequest& request);

}  // namespace kerf::protocol
