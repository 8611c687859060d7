#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "formats/graph_reader.h"

namespace kerf::formats {

// What a configuration says of the version of Keras that wrote it: in "keras_version", or else by
// how it looks.
struct ConfigAge {
  bool keras1 = false;
  KerasVersion version;  // what Keras 1 computes is what the first Keras 2 does
};
ConfigAge age_of_config(const boost::json::object& model);

// A model's configuration with the class and key names that Keras 2 ended with: those of Keras 1
// are translated if it is `keras1`, and the cuDNN layers of Keras 2 become the layers that compute
// the same. Initializers, regularizers and the like, which only matter in training, are dropped
// from Keras 1 layers. Throws Error(kUnsupported) for what has no translation; `where` names the
// file.
boost::json::object translate_old_config(const boost::json::object& model, bool keras1,
                                         const std::string& where);

}  // namespace kerf::formats
