#include <fmt/format.h>

#include <algorithm>

#include "layers/activation.h"
#include "layers/image_axes.h"
#include "layers/patches.h"
#include "layers/window.h"

// LocallyConnected1D and 2D of Keras 1 and 2: convolutions with a kernel of its own at every place.
namespace kerf::layers {
namespace {

using program::Reshape;

// The layer's input and output, without the batch.
struct Geometry {
  std::size_t rank;
  program::Window window;
  bool first;  // channels
  std::int64_t in = 0;
  std::int64_t filters = 0;
  std::int64_t places = 1;  // of the output
  std::vector<std::int64_t> output;
};

Geometry geometry_of(LayerCall& call, ValueId x) {
  const Config& config = call.config();
  Geometry g{
      .rank = spatial_rank_of(call), .window = {}, .first = config.channels_first(), .output = {}};
  g.window = window_of(call, g.rank, "kernel_size", 1);
  const Shape& shape = call.shape(x);
  if (shape.rank() != g.rank + 2) {
    config.invalid("data_format", fmt::format("needs an input of {} dimensions, not {}", g.rank + 2,
                                              shape.to_string()));
  }
  g.in = shape[g.first ? 1 : g.rank + 1];
  g.filters = config.size("filters");
  for (std::size_t i = 0; i < g.rank; ++i) {
    const std::int64_t size = shape[i + (g.first ? 2 : 1)];
    if (size < 1 || g.in < 1) {
      config.unsupported("kernel_size", "the size of the input is not known when the file is read");
    }
    g.output.push_back(program::window_axis(g.window, i, size).output);
    if (g.output.back() < 1) config.invalid("kernel_size", "is larger than the input");
    g.places *= g.output.back();
  }
  // So that no product below overflows.
  double most = static_cast<double>(g.places) * static_cast<double>(g.filters);
  for (std::size_t i = 1; i < shape.rank(); ++i) most *= static_cast<double>(shape[i]);
  if (most > 1e15) config.invalid("filters", "would need too large a kernel");
  return g;
}

// A matrix for each place, over what the window sees there.
ValueId by_patches(LayerCall& call, ValueId x, const Geometry& g) {
  if (g.window.padding != program::Padding::kValid) {
    call.config().unsupported("padding", "must be 'valid' in implementation 1");
  }
  if (g.first) x = to_channels_last(call, x);
  ValueId seen = patches(call, x, g.window, "kernel_size");
  const std::int64_t depth = call.shape(seen).back();
  const std::int64_t cells = depth / g.in;
  // Keras lines up what a window sees as it stands in memory: by channels if they come first.
  if (g.first && cells > 1) {
    seen = call.ops().append(Reshape{{Reshape::kInfer, cells, g.in}}, {seen});
    seen = call.ops().append(program::Transpose{{0, 2, 1}}, {seen});
  }
  seen = call.ops().append(Reshape{{Reshape::kInfer, g.places, depth}}, {seen});
  const ValueId kernel = call.weight("kernel", {g.places, depth, g.filters});
  const ValueId rows = call.ops().append(program::Transpose{{1, 0, 2}}, {seen});
  const ValueId y = call.ops().append(program::MatMul{}, {rows, kernel});
  ValueId back = call.ops().append(program::Transpose{{1, 0, 2}}, {y});
  std::vector<std::int64_t> dims = g.output;
  dims.insert(dims.begin(), Reshape::copy(0));
  dims.push_back(g.filters);
  back = call.ops().append(Reshape{std::move(dims)}, {back});
  return g.first ? to_channels_first(call, back) : back;
}

Tensor as_matrix(std::span<const Tensor> sources, double rows) {
  const auto count = static_cast<std::int64_t>(rows);
  return sources[0].reshaped({count, sources[0].shape().element_count() / count});
}

// One matrix of all inputs and outputs, with zeros where a window does not reach.
ValueId by_matrix(LayerCall& call, ValueId x, const Geometry& g) {
  Shape kernel;
  std::int64_t inputs = 1;
  const Shape shape = call.shape(x);
  for (std::size_t i = 1; i < shape.rank(); ++i) {
    kernel.push_back(shape[i]);
    inputs *= shape[i];
  }
  std::vector<std::int64_t> dims = g.output;
  dims.insert(g.first ? dims.begin() : dims.end(), g.filters);
  for (const std::int64_t dim : dims) kernel.push_back(dim);
  const ValueId matrix =
      call.derived("local matrix", {call.weight("kernel", kernel)}, {inputs, g.places * g.filters},
                   as_matrix, static_cast<double>(inputs));
  const ValueId line = call.ops().append(Reshape{{Reshape::copy(0), inputs}}, {x});
  dims.insert(dims.begin(), Reshape::copy(0));
  return call.ops().append(Reshape{std::move(dims)},
                           {call.ops().append(program::Linear{}, {line, matrix})});
}

void lower_local_connection(LayerCall& call) {
  const ValueId x = call.float_input();
  const Geometry g = geometry_of(call, x);
  const std::int64_t implementation = call.config().integer("implementation", 1);
  if (implementation != 1 && implementation != 2) {
    call.config().unsupported(
        "implementation",
        fmt::format("{} stores its kernel as a list; save it with 1", implementation));
  }
  ValueId y = implementation == 1 ? by_patches(call, x, g) : by_matrix(call, x, g);
  if (call.config().boolean("use_bias", true)) {
    Shape shape;
    std::vector<std::int64_t> dims = g.output;
    for (const std::int64_t dim : dims) shape.push_back(dim);
    shape.push_back(g.filters);
    // Keras does not move the channels of a bias but reads it anew.
    dims.insert(g.first ? dims.begin() : dims.end(), g.filters);
    ValueId bias = call.weight("bias", shape);
    if (g.first) bias = call.ops().append(Reshape{std::move(dims)}, {bias});
    y = call.ops().append(program::Binary{program::Binary::Kind::kAdd}, {y, bias});
  }
  call.output(apply_activation(call, y, "activation"));
}

}  // namespace

void register_local_connection(Registry& registry);
void register_local_connection(Registry& registry) {
  for (const char* name : {"LocallyConnected1D", "LocallyConnected2D"}) {
    registry.add({.class_name = name,
                  .lower = lower_local_connection,
                  .refuses = {{"implementation", "3, a list of values"},
                              {"kernel_size", "above 1024 cells; inputs of unknown size"},
                              {"padding", "same, in implementation 1"}}});
  }
}

}  // namespace kerf::layers
