#pragma once

#include <boost/json/object.hpp>

#include "graph/graph.h"

namespace kerf::formats {

// The layer's configuration as Keras 3 takes it: that of a Keras 3 file as it is, that of an older
// one translated, without what only matters in training. Throws Error(kUnsupported) for what Keras
// 3 computes differently or does not have.
boost::json::object keras3_config(const graph::Layer& layer);

// Python's JSON: non-finite numbers, which kerf::formats::parse_json() reads as strings, are bare
// words again.
std::string python_json(const boost::json::value& value);

}  // namespace kerf::formats
