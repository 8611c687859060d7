#include "cli/load.h"

#include "cli/progress.h"

namespace kerf::cli {

Model load_model(const std::filesystem::path& file, const config::ExtensionList& extensions,
                 Precision precision) {
  Progress progress("reading " + file.filename().string());
  return Model::load(file, {.progress = [&](double share) { progress.update(share); },
                            .extensions = extensions.read(),
                            .weights = {},
                            .precision = precision});
}

}  // namespace kerf::cli
