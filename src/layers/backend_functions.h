#pragma once

#include <string_view>

#include "layers/foreign_function.h"

namespace kerf::layers {

// The function of keras.backend by this name ("mean") where it is one operation; else nullptr.
const ForeignFunction* backend_function(std::string_view name);

}  // namespace kerf::layers
