#include <cmath>

#include "layers/activation.h"
#include "layers/quantization.h"

namespace kerf::layers {
namespace {

// Weights as their signs where they exceed the threshold, else zero. Without a threshold (below
// zero) it is half the mean size, which then scales the signs.
Tensor signs(std::span<const Tensor> sources, double threshold) {
  const auto x = sources[0].as<float>();
  std::vector<float> y(x.size());
  double size = 0;
  for (const float value : x) size += std::abs(static_cast<double>(value));
  const auto mean = static_cast<float>(x.empty() ? 0 : size / static_cast<double>(x.size()));
  const bool own = threshold < 0;
  const float bound = own ? mean / 2 : static_cast<float>(threshold);
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (std::abs(x[i]) > bound) y[i] = std::copysign(own ? mean : 1.0F, x[i]);
  }
  return Tensor::floats(sources[0].shape(), y);
}

void lower_ternary_dense(LayerCall& call) {
  const ValueId x = call.float_input();
  const std::int64_t units = call.config().size("units");
  if (call.shape(x).rank() < 2) call.config().invalid("units", "needs an input with channels");
  const std::int64_t in = call.shape(x).back();
  DenseWeights weights;
  if (const Quantization quantization = quantization_of(call)) {
    weights = dense_weights(call, quantization,
                            {.path = "",
                             .rows = in,
                             .columns = units,
                             .kernel = {in, units},
                             .bias = {units},
                             .kernel_scale = {units},
                             .has_bias = call.config().boolean("use_bias", true)});
  } else {
    const ValueId kernel = call.weight("kernel", {in, units});
    if (call.config().boolean("use_bias", true)) weights.bias = call.weight("bias", {units});
    const double threshold = call.config().optional_number("threshold").value_or(-1);
    weights.matrix = call.derived("signs", {kernel}, {in, units}, signs, threshold);
  }
  call.output_passing_mask(apply_activation(call, dense_product(call, x, weights), "activation"));
}

}  // namespace

void register_ternary_dense(Registry& registry);
void register_ternary_dense(Registry& registry) {
  registry.add({.class_name = "TernaryDense", .lower = lower_ternary_dense});
}

}  // namespace kerf::layers
