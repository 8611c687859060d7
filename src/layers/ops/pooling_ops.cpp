#include <fmt/format.h>

#include "layers/image_axes.h"
#include "layers/operation.h"

// Pooling as a function: the arguments are those of the layers.
namespace kerf::layers {
namespace {

void lower_pool(Operation& op) {
  ValueId x = op.to_float(op.tensor("inputs"));
  if (op.rank(x) < 3 || op.rank(x) > 5) {
    op.invalid("inputs", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  const bool first = op.arguments().channels_first();
  if (first) x = to_channels_last(op.call(), x);
  program::Pool pool;
  pool.window.rank = op.rank(x) - 2;
  if (op.class_name() == "AveragePool") pool.kind = program::Pool::Kind::kAverage;
  const auto sizes = op.arguments().integers("pool_size", pool.window.rank, 2);
  const auto strides =
      op.has("strides") ? op.arguments().integers("strides", pool.window.rank, 1) : sizes;
  for (std::size_t i = 0; i < pool.window.rank; ++i) {
    pool.window.size[i] = sizes[i];
    pool.window.strides[i] = strides[i];
  }
  const std::string padding = op.arguments().text("padding", "valid");
  if (padding == "same") {
    pool.window.padding = program::Padding::kSame;
  } else if (padding != "valid") {
    op.invalid("padding", fmt::format("is '{}'", padding));
  }
  const ValueId y = op.ops().append(pool, {x});
  op.output(first ? to_channels_first(op.call(), y) : y);
}

}  // namespace

void register_pooling_ops(Registry& registry);
void register_pooling_ops(Registry& registry) {
  add_operations(registry, {"MaxPool", "AveragePool"}, {"inputs"},
                 {"pool_size", "strides", "padding", "data_format"}, lower_pool);
}

}  // namespace kerf::layers
