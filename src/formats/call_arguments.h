#pragma once

#include <boost/json/object.hpp>
#include <cstddef>
#include <optional>
#include <vector>

#include "graph/graph.h"

namespace kerf::formats {

// Arguments are {"args": [...], "kwargs": {...}} in which {"tensor": i} stands for the call's i-th
// tensor.

// The tensors of the first argument, those of a dict in the order of its keys.
std::vector<std::size_t> first_tensors(const boost::json::object& arguments);
// The mask given by keyword, if it is one tensor.
std::optional<std::size_t> mask_tensor(const boost::json::object& arguments);
// Sets the keyword `mask` to null and takes its tensor out of the numbering.
void drop_mask(boost::json::object& arguments);

// Keras 3 writes the mask of an Embedding or a Masking layer into the graph a second time, as
// operations on the layer's input. Whether `computed`, a tensor of the graph, is such a copy of
// `mask`, one that travels.
bool is_copy_of_mask(const graph::Graph& graph, graph::TensorId computed, graph::TensorId mask);

}  // namespace kerf::formats
