#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "layers/image_axes.h"
#include "layers/operation.h"

// Pooling and resizing as functions: the arguments are those of the layers.
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

void lower_adaptive_pool(Operation& op) {
  ValueId x = op.to_float(op.tensor("inputs"));
  if (op.rank(x) < 3 || op.rank(x) > 5) {
    op.invalid("inputs", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  const std::size_t rank = op.rank(x) - 2;
  using Kind = program::Resample::Kind;
  const Kind kind = op.class_name() == "AdaptiveMaxPool" ? Kind::kMax : Kind::kMean;
  const auto sizes = op.arguments().integers("output_size", rank, 1);
  const std::size_t first = op.arguments().channels_first() ? 2 : 1;
  for (std::size_t i = rank; i-- > 0;) {
    if (sizes[i] < 1) op.invalid("output_size", fmt::format("is {}", sizes[i]));
    x = op.ops().append(
        program::Resample{
            .kind = kind, .axis = static_cast<std::int64_t>(first + i), .size = sizes[i]},
        {x});
  }
  op.output(x);
}

void lower_resize(Operation& op) {
  ValueId x = op.tensor("images");
  const std::size_t rank = op.rank(x);
  if (rank != 3 && rank != 4) {
    op.invalid("images", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  for (const char* name : {"crop_to_aspect_ratio", "pad_to_aspect_ratio"}) {
    if (op.arguments().boolean(name, false)) op.unsupported(name, "the images are only stretched");
  }
  constexpr std::array<std::string_view, 5> kNames{"nearest", "bilinear", "bicubic", "lanczos3",
                                                   "lanczos5"};
  const std::string name = op.arguments().text("interpolation", "bilinear");
  const auto* const found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    op.unsupported("interpolation", fmt::format("'{}' is not one kerf knows", name));
  }
  const auto kind = static_cast<program::Resample::Kind>(found - kNames.begin());
  if (kind != program::Resample::Kind::kNearest && op.dtype(x) != DType::kFloat32) {
    op.unsupported("images", "versions of Keras round images of integers differently");
  }
  const std::vector<std::int64_t> size = op.arguments().integers("size", 2, 1);
  const std::size_t rows = rank - (op.arguments().channels_first() ? 2 : 3);
  for (std::size_t i = 2; i-- > 0;) {
    if (size[i] < 1) op.invalid("size", fmt::format("is {}", size[i]));
    if (op.shape(x)[rows + i] == size[i]) continue;
    x = op.ops().append(program::Resample{.kind = kind,
                                          .axis = static_cast<std::int64_t>(rows + i),
                                          .size = size[i],
                                          .antialias = op.arguments().boolean("antialias", false)},
                        {x});
  }
  op.output(x);
}

}  // namespace

void register_pooling_ops(Registry& registry);
void register_pooling_ops(Registry& registry) {
  add_operations(registry, {"MaxPool", "AveragePool"}, {"inputs"},
                 {"pool_size", "strides", "padding", "data_format"}, lower_pool);
  add_operations(registry, {"AdaptiveMaxPool", "AdaptiveAveragePool"}, {"inputs"},
                 {"output_size", "data_format"}, lower_adaptive_pool);
  add_operations(registry, {"Resize"}, {"images"},
                 {"size", "interpolation", "antialias", "crop_to_aspect_ratio",
                  "pad_to_aspect_ratio", "fill_mode", "fill_value", "data_format"},
                 lower_resize);
}

}  // namespace kerf::layers
