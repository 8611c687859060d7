#include <kerf/plugin.h>

#include <array>

// A plug-in whose classes misuse what kerf offers in every way that kerf can notice.
namespace {

void build_nothing(const kerf_host*, kerf_layer*) {}

void build_unknown_tensor(const kerf_host* host, kerf_layer* layer) { host->output(layer, 7); }

void build_unknown_input(const kerf_host* host, kerf_layer* layer) {
  host->output(layer, host->input(layer, 3));
}

void build_wrong_expression(const kerf_host* host, kerf_layer* layer) {
  const kerf_tensor x = host->input(layer, 0);
  host->output(layer, host->expression(layer, "x +* 2", &x, 1));
}

void build_wrong_shape(const kerf_host* host, kerf_layer* layer) {
  const int64_t negative = -3;
  host->output(layer, host->constant(layer, nullptr, &negative, 1));
}

void build_failing(const kerf_host* host, kerf_layer* layer) {
  host->fail(layer, "cannot be in the mood");
  host->output(layer, host->input(layer, 0));
}

constexpr std::array<kerf_layer_class, 6> kClasses = {{{"test>Nothing", build_nothing},
                                                       {"test>UnknownTensor", build_unknown_tensor},
                                                       {"test>UnknownInput", build_unknown_input},
                                                       {"test>Expression", build_wrong_expression},
                                                       {"test>Shape", build_wrong_shape},
                                                       {"test>Failing", build_failing}}};

constexpr kerf_plugin kPlugin = {KERF_PLUGIN_VERSION, sizeof(kerf_plugin), "broken",
                                 kClasses.data(), kClasses.size()};

}  // namespace

const kerf_plugin* kerf_plugin_entry(void) { return &kPlugin; }
