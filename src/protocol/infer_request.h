#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/model.h"

namespace kerf::protocol {

// A part of a client's shared memory, where a tensor lies or is to be put.
struct SharedPart {
  std::string_view region;
  std::uint64_t offset = 0;
  std::uint64_t byte_size = 0;
};

// A tensor given in a request: its declaration, and its elements as they came: as the text of a
// JSON array, as gRPC's typed contents, in shared memory, or else as bytes.
struct RequestInput {
  std::string_view name;
  DType datatype = DType::kFloat32;
  Shape shape;
  std::string_view json;                     // empty if the elements are not JSON
  std::optional<std::string_view> contents;  // a serialized InferTensorContents
  std::optional<SharedPart> shared;
  std::span<const std::byte> binary;
  std::optional<std::uint64_t> binary_size;  // of `binary`, as the request's JSON says
};

// A tensor asked for.
struct RequestOutput {
  std::string_view name;
  std::optional<bool> binary;  // as a blob; nothing: as InferRequest::binary_output says
  std::uint64_t classes = 0;   // the parameter `classification`; 0: none
  std::optional<SharedPart> shared;
};

// An Open Inference Protocol inference request. Refers to the body it was read from; reused from
// request to request so that reading allocates nothing once it has been used.
struct InferRequest {
  std::string_view model;  // its name and version, where the message has them (gRPC)
  std::string_view version;
  std::optional<std::string_view> id;
  std::vector<RequestInput> inputs;
  std::vector<RequestOutput> outputs;  // empty: all of the model's
  bool binary_output = false;
  std::chrono::microseconds timeout{0};  // 0: none
  std::uint64_t priority = 0;            // 0: the default, 1: the highest

  std::deque<std::string> unescaped;  // strings that had escapes
  std::vector<std::string_view> raw;  // used while it is read
  void clear();
};

// Reads the message in `body`, whose first `json_size` bytes are JSON and the rest the blobs of
// binary inputs; at least kBodyPadding bytes behind it must be readable. Throws
// Error(kInvalidArgument) with the field in where().
inline constexpr std::size_t kBodyPadding = 64;
void read_infer_request(std::span<const char> body, std::size_t json_size, InferRequest& request);

// Reads a serialized ModelInferRequest, without copying any of it. Throws likewise.
void read_infer_message(std::string_view message, InferRequest& request);

// Reads a body without any JSON (Inference-Header-Content-Length: 0): the elements of the one input
// that the model, given by its inputs, has. Unknown dimensions follow from the size; where there
// are several, the batch is 1. A string input gets the whole body as its one element.
void read_raw_request(std::span<const char> body, std::span<const TensorInfo> inputs,
                      InferRequest& request);

}  // namespace kerf::protocol
