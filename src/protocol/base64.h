#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace kerf::protocol {

// Base64 with padding (RFC 4648, section 4). Nothing for text that is none.
std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

}  // namespace kerf::protocol
