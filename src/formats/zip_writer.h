#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace kerf::formats {

// Writes a zip file of stored members. It is written beside its place and moved there when it is
// complete, so that a reader sees the old file or the new one. Throws Error(kUnavailable) where
// the place cannot be written.
void write_zip(const std::filesystem::path& file,
               const std::vector<std::pair<std::string, std::span<const std::byte>>>& members);

}  // namespace kerf::formats
