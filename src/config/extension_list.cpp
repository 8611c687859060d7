#include "config/extension_list.h"

namespace kerf::config {

Extensions ExtensionList::read() const {
  Extensions extensions;
  for (const std::string& alias : aliases) extensions.alias(alias);
  for (const std::string& plugin : plugins) extensions.plugin(plugin);
  return extensions;
}

}  // namespace kerf::config
