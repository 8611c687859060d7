#pragma once

#include <boost/json/object.hpp>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace kerf::formats {

// A layer as a file of Keras 3 holds it.
struct Keras3Layer {
  std::string class_name;
  boost::json::object config;
  std::vector<graph::Weight> weights;
};

// A layer of a Keras 3 file as it is, that of an older one translated, without what only matters in
// training. Where Keras 3 computes a function differently, weights make up for it where they can.
// Throws Error(kUnsupported) for what Keras 3 has no equal of.
Keras3Layer keras3_layer(const graph::Layer& layer);

// Keras 3 computes hard_sigmoid(x) as Keras 2 does hard_sigmoid(kHardSigmoidScale * x).
inline constexpr float kHardSigmoidScale = 1.2F;
// Whether this is a layer of Keras 2 that is nothing but that function.
bool is_old_hard_sigmoid(const graph::Layer& layer);

// Python's JSON: non-finite numbers, which kerf::formats::parse_json() reads as strings, are bare
// words again.
std::string python_json(const boost::json::value& value);

}  // namespace kerf::formats
