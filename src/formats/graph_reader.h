#pragma once

#include <map>
#include <string>
#include <vector>

#include "formats/problems.h"
#include "graph/graph.h"
#include "layers/model_spec.h"
#include "layers/registry.h"

namespace kerf::formats {

using layers::is_known;
using layers::LayerSpec;
using layers::ModelSpec;
using layers::read_spec;
using layers::TensorRef;
using layers::unknown_layers;

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

// Turns a configuration into a graph, nested models flattened, shapes inferred. What depends on a
// layer that cannot be read is left out; the reason is added to `problems`, except for classes that
// kerf does not know, which unknown_layers() lists.
Skeleton read_graph(const ModelSpec& model, KerasVersion version, Problems& problems);

}  // namespace kerf::formats
