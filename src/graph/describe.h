#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "graph/graph.h"

namespace kerf::graph {

// A table like Keras' summary: layer (class), output shape, parameters, connected to; then the
// totals, the tensor addresses where they are not the layer's name, and the cut points.
std::string describe_text(const Graph& graph);
// What GET /v2/models/NAME/graph and `kerf inspect --json` give.
boost::json::object describe_json(const Graph& graph);
// Graphviz.
std::string describe_dot(const Graph& graph);

}  // namespace kerf::graph
