#include <kerf/plugin.h>

// A plug-in of a kerf that is yet to be written.
namespace {
constexpr kerf_plugin kPlugin = {KERF_PLUGIN_VERSION + 1, sizeof(kerf_plugin), "future", nullptr,
                                 0};
}

const kerf_plugin* kerf_plugin_entry(void) { return &kPlugin; }
