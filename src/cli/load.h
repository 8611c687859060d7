#pragma once

#include <filesystem>

#include "cli/arguments.h"
#include "kerf/model.h"

namespace kerf::cli {

// Model::load with a progress bar on stderr.
Model load_model(const std::filesystem::path& file, const config::ExtensionList& extensions,
                 Precision precision = Precision::kFloat32);

}  // namespace kerf::cli
