#pragma once

#include <boost/json/object.hpp>
#include <string>

namespace kerf::formats {

// A model's configuration with the class and key names that Keras 2 ended with: those of Keras 1
// are translated if it is `keras1`, and the cuDNN layers of Keras 2 become the layers that compute
// the same. Initializers, regularizers and the like, which only matter in training, are dropped
// from Keras 1 layers. Throws Error(kUnsupported) for what has no translation; `where` names the
// file.
boost::json::object translate_old_config(const boost::json::object& model, bool keras1,
                                         const std::string& where);

}  // namespace kerf::formats
