#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kerf::formats {

// The members of a `.keras` file that describe the model, whether zipped or in a folder.
struct Archive {
  std::map<std::string, std::vector<std::byte>> members;
};

// A whole file. Throws Error(kNotFound | kInvalidFile).
std::vector<std::byte> read_file(const std::filesystem::path& file);

// Reads config.json, metadata.json and the weights of a zip in memory. Refuses members that claim
// absurd sizes and names that stand twice.
Archive read_zip(const std::vector<std::byte>& bytes, const std::string& where);
Archive read_folder(const std::filesystem::path& folder);

}  // namespace kerf::formats
