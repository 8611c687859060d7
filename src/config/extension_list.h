#pragma once

#include <string>
#include <vector>

#include "kerf/extensions.h"

namespace kerf::config {

// What stands for layers of a model author's own, as users write it.
struct ExtensionList {
  std::vector<std::string> aliases;  // NAME=MEANING
  std::vector<std::string> plugins;  // files

  // Loads the plug-ins. Throws what kerf::Extensions throws.
  Extensions read() const;
};

}  // namespace kerf::config
