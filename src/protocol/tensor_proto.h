#pragma once

#include <cstddef>
#include <cstdint>

#include "kerf/model.h"
#include "protocol/infer_request.h"
#include "protocol/infer_tensors.h"
#include "tensorflow/tensor.pb.h"

namespace kerf::protocol {

// TensorFlow's name of a dtype.
tensorflow::DataType tensorflow_type(DType dtype) noexcept;

// Appends a tensor of a request as an input of this name. It refers to the proto, which stays as
// long as the request. Elements that its list leaves out are the last one given, or zero, up to
// `most_bytes` of them. Throws Error(kInvalidArgument) for a dtype that no model takes, for an
// unknown shape, and for another number of elements than the shape has.
void add_input(std::string_view name, const tensorflow::TensorProto& proto, std::size_t most_bytes,
               InferRequest& request);

// Makes `proto` a tensor of a reply, its elements in the list of its dtype.
void write_tensor(const InferTensors::Output& output, tensorflow::TensorProto& proto);
void write_shape(const Shape& shape, tensorflow::TensorShapeProto& proto);

}  // namespace kerf::protocol
