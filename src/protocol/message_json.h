#pragma once

#include <google/protobuf/message.h>

#include <cstdint>

#include "protocol/buffer.h"

namespace kerf::protocol {

// Whose manner it is. Triton writes 64-bit integers as numbers, and leaves out empty strings;
// TensorFlow Serving writes them as strings, and writes empty ones, as JSON of Protocol Buffers has
// it.
enum class JsonStyle : std::uint8_t { kTriton, kTensorflow };

// Appends a message as JSON object: fields by their names in the .proto file, enumerators by name,
// maps as objects. Messages and members of a oneof that are not set and empty maps are left out;
// other fields are written with their defaults.
void append_message(Buffer& out, const google::protobuf::Message& message, JsonStyle style);

}  // namespace kerf::protocol
