#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/model_spec.h"
#include "graph/graph.h"
#include "layers/registry.h"

namespace kerf::formats {

struct KerasVersion {
  int major = 3;
  int minor = 0;
};
// Of "2.15.0"; Keras 3.0 if the text is no version.
KerasVersion parse_version(std::string_view text);

// A graph whose weights are still to be read.
struct Skeleton {
  graph::GraphBuilder builder;
  std::map<std::string, graph::LayerId> layers;  // by path
  std::map<graph::LayerId, std::vector<layers::WeightSpec>> weights;
};

// Turns a configuration into a graph, nested models flattened, shapes inferred. Throws
// Error(kInvalidFile | kUnsupported) with `where` in front.
Skeleton read_graph(const ModelSpec& model, KerasVersion version, const std::string& where);

}  // namespace kerf::formats
