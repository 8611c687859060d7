#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serving/model_spec.h"

namespace kerf::serving {

// What kerf takes from the `config.pbtxt` of a model in a Triton repository: a protobuf message
// ModelConfig as text.
struct TritonConfig {
  std::string name;
  std::optional<VersionPolicy> versions;
  std::vector<std::string> ignored;  // other top-level fields, as they are called
};

// Throws Error(kInvalidFile) with line and column for what is no such text. Messages nest at most
// 100 deep.
TritonConfig parse_triton_config(std::string_view text);
// Of at most 1 MiB. Throws Error(kNotFound) where the file cannot be read.
TritonConfig read_triton_config(const std::filesystem::path& file);

}  // namespace kerf::serving
