#pragma once

#include <string>
#include <string_view>

namespace kerf::layers {

// Whether a text has nothing but digits of base64, padding and ends of lines.
bool is_base64(std::string_view text);
// The bytes that it stands for; what is no digit is passed over.
std::string from_base64(std::string_view text);

}  // namespace kerf::layers
