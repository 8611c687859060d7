#pragma once

#include <boost/json/value.hpp>
#include <string>

#include "graph/graph.h"

namespace kerf::layers {

// The name of the dtype policy that a configuration's "dtype" holds ("mixed_float16",
// "int8_from_float32"), for the layer, or the part of one, at this path: a map has one for each.
// Empty for what is none.
std::string policy_name(const boost::json::value& policy, const std::string& path);

// What Keras calls the dtype of a tensor that kerf computes as float32: float16, bfloat16 or
// float64 where the policy of the layer that made it says so, or where an operation had only such
// operands. kerf computes in float32 all the same; see graph::GraphTensor::dtype.
DType reported_dtype(const graph::Graph& graph, graph::TensorId tensor);

}  // namespace kerf::layers
