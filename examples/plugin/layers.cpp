#include <kerf/plugin.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

// A plug-in of two layers that a model's author might have written in Python.
namespace {

// y = gamma * tanh(alpha * x) + beta, with weights of as many numbers as x has channels:
//
//   @keras.saving.register_keras_serializable("example")
//   class DynamicTanh(keras.layers.Layer):
//     def build(self, shape):
//       self.alpha = self.add_weight((1,), name="alpha")
//       self.gamma = self.add_weight((shape[-1],), name="gamma")
//       self.beta = self.add_weight((shape[-1],), name="beta")
//     def call(self, x):
//       return self.gamma * keras.ops.tanh(self.alpha * x) + self.beta
void build_dynamic_tanh(const kerf_host* host, kerf_layer* layer) {
  const kerf_tensor x = host->input(layer, 0);
  const std::int64_t one = 1;
  const std::int64_t channels = host->dimension(layer, x, host->rank(layer, x) - 1);
  if (channels == KERF_UNKNOWN) {
    host->fail(layer, "needs a known number of channels");
    return;
  }
  const std::array<kerf_tensor, 4> tensors = {x, host->weight(layer, "alpha", &one, 1),
                                              host->weight(layer, "gamma", &channels, 1),
                                              host->weight(layer, "beta", &channels, 1)};
  // In an expression, tensors are called x, y, z, u, v and w.
  host->output(layer, host->expression(layer, "z * tanh(y * x) + u", tensors.data(),
                                       static_cast<std::int32_t>(tensors.size())));
}

// x plus sines and cosines of the places of its steps, as transformers add them. `max_wavelength`
// is read from the layer's configuration, by its name.
void build_positions(const kerf_host* host, kerf_layer* layer) {
  const kerf_tensor x = host->input(layer, 0);
  if (host->rank(layer, x) != 3) {
    host->fail(layer, "needs an input of steps of channels");
    return;
  }
  const std::int64_t steps = host->dimension(layer, x, 1);
  const std::int64_t channels = host->dimension(layer, x, 2);
  if (steps < 0 || channels < 2 || channels % 2 != 0) {
    host->fail(layer, "needs a known number of steps, and an even one of channels");
    return;
  }
  std::vector<float> steps_of(static_cast<std::size_t>(steps));
  for (std::int64_t i = 0; i < steps; ++i) {
    steps_of[static_cast<std::size_t>(i)] = static_cast<float>(i);
  }
  std::vector<float> shares(static_cast<std::size_t>(channels / 2));
  for (std::int64_t i = 0; i < channels / 2; ++i) {
    shares[static_cast<std::size_t>(i)] =
        -2.0F * static_cast<float>(i) / static_cast<float>(channels);
  }
  const std::array<std::int64_t, 2> column = {steps, 1};
  const std::int64_t half = channels / 2;
  const std::array<kerf_tensor, 3> tensors = {
      x, host->constant(layer, steps_of.data(), column.data(), 2),
      host->constant(layer, shares.data(), &half, 1)};
  host->output(layer, host->expression(layer,
                                       "x + concatenate([sin(y * max_wavelength ** z), "
                                       "cos(y * max_wavelength ** z)], axis=-1)",
                                       tensors.data(), static_cast<std::int32_t>(tensors.size())));
}

constexpr std::array<kerf_layer_class, 2> kClasses = {
    {{"example>DynamicTanh", build_dynamic_tanh}, {"example>Positions", build_positions}}};

constexpr kerf_plugin kPlugin = {KERF_PLUGIN_VERSION, sizeof(kerf_plugin), "example layers",
                                 kClasses.data(), kClasses.size()};

}  // namespace

const kerf_plugin* kerf_plugin_entry(void) { return &kPlugin; }
