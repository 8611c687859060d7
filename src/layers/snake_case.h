#pragma once

#include <string>
#include <string_view>

namespace kerf::layers {

// Keras' folder name of a class: "Conv2D" -> "conv2d", "PReLU" -> "p_re_lu".
std::string snake_case(std::string_view class_name);

}  // namespace kerf::layers
