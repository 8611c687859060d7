#pragma once

#include <boost/json/value.hpp>
#include <memory>
#include <string>

#include "layers/config.h"
#include "layers/python/object.h"

namespace kerf::layers::python {

// A Python function as the configuration of a layer holds it: compiled, or by no more than a name.
struct FunctionConfig {
  std::shared_ptr<const Code> code;  // nullptr: only the name is in the file
  boost::json::value defaults;       // of the last arguments: a list, or null
  boost::json::value closure;        // what its free variables are bound to: a list, or null
  std::string name;
  std::string module;  // where Python would find the name
};

// Reads the field in the form of any Keras: {"class_name": "__lambda__", ...}, [code, defaults,
// closure], a name. Nothing is run. Throws Error(kInvalidFile) for code that is damaged.
FunctionConfig read_function(const Config& config, std::string_view field);

}  // namespace kerf::layers::python
