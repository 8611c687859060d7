#pragma once

namespace kerf {

// The library's version. CMake reads it from here, so that there is one place to change.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace kerf
