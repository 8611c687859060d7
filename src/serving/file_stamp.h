#pragma once

#include <compare>
#include <cstdint>
#include <filesystem>
#include <string>

namespace kerf::serving {

// Tells one state of a file, or of all files below a folder, from another, without reading them:
// by their names, inodes, sizes and times of change.
struct FileStamp {
  std::uint64_t hash = 0;
  bool operator==(const FileStamp&) const = default;
};

// Throws nothing: what cannot be looked at counts as not there.
FileStamp stamp_of(const std::filesystem::path& path) noexcept;

}  // namespace kerf::serving
