#pragma once

#include <filesystem>

#include "cli/arguments.h"
#include "kerf/model.h"

namespace kerf::cli {

// Model::load with a progress bar on stderr.
Model load_model(const std::filesystem::path& file, const config::ExtensionList& extensions);

}  // namespace kerf::cli
