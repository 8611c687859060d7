#pragma once

#include <map>
#include <string_view>

namespace kerf::layers {

// Keras' own layer classes that kerf does not run, with the reason, as "... holds Python code".
// What is neither here nor in the registry is no class of Keras.
const std::map<std::string_view, std::string_view>& refused_classes();

}  // namespace kerf::layers
