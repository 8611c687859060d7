#pragma once

#include <string>

namespace kerf {

// What kerf reads and runs, layer by layer, in Markdown: docs/support.md. Made from the registry of
// layers. Any thread may call.
std::string support_page();

}  // namespace kerf
