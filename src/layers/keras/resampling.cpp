#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "layers/registry.h"
#include "layers/window.h"

// Layers that give images and sequences another size: upsampling, resizing, centre crops, and
// pooling to a size.
namespace kerf::layers {
namespace {

using Kind = program::Resample::Kind;

std::int64_t first_spatial_axis(const Config& config) { return config.channels_first() ? 2 : 1; }

void require_rank(LayerCall& call, ValueId x, std::size_t rank) {
  if (call.shape(x).rank() != rank) {
    call.config().invalid("data_format", fmt::format("needs an input of {} dimensions, not {}",
                                                     rank, call.shape(x).to_string()));
  }
}

Kind interpolation(LayerCall& call, std::string_view fallback) {
  const Config& config = call.config();
  const std::string name = config.text("interpolation", fallback);
  constexpr std::array<std::string_view, 5> kNames{"nearest", "bilinear", "bicubic", "lanczos3",
                                                   "lanczos5"};
  const auto* const found = std::ranges::find(kNames, name);
  if (found == kNames.end()) {
    config.unsupported("interpolation", fmt::format("'{}' is not one kerf knows", name));
  }
  return static_cast<Kind>(found - kNames.begin());
}

// What is interpolated, as floats. Keras 2 gives floats then; Keras 3 goes back to integers, and
// its versions and backends do not agree how.
ValueId interpolated(LayerCall& call, Kind kind) {
  const ValueId x = call.input();
  if (kind == Kind::kNearest || is_floating(call.type(x).dtype)) return x;
  if (call.layer().keras_major >= 3) {
    call.config().unsupported("interpolation",
                              fmt::format("versions of Keras round {} images differently; make the "
                                          "input float32",
                                          dtype_name(call.type(x).dtype)));
  }
  return call.float_input();
}

void lower_upsampling(LayerCall& call) {
  const Config& config = call.config();
  const std::size_t rank = spatial_rank_of(call);
  const Kind kind = rank == 2 ? interpolation(call, "nearest") : Kind::kNearest;
  const graph::Layer& layer = call.layer();
  if (kind != Kind::kNearest &&
      (layer.keras_major < 2 || (layer.keras_major == 2 && layer.keras_minor < 4))) {
    config.unsupported("interpolation",
                       "files from before Keras 2.4 do not say which of two ways of interpolating "
                       "they mean");
  }
  ValueId x = interpolated(call, kind);
  require_rank(call, x, rank + 2);
  const auto factors = config.integers("size", rank, 2);
  for (std::size_t i = rank; i-- > 0;) {
    constexpr std::int64_t kLimit = 1 << 20;
    if (factors[i] < 1 || factors[i] > kLimit) config.invalid("size", "is no factor");
    if (factors[i] == 1) continue;
    x = call.ops().append(
        program::Resample{.kind = kind,
                          .axis = first_spatial_axis(config) + static_cast<std::int64_t>(i),
                          .factor = factors[i]},
        {x});
  }
  call.output(x);
}

void lower_adaptive_pooling(LayerCall& call) {
  const Config& config = call.config();
  const std::size_t rank = spatial_rank_of(call);
  ValueId x = call.float_input();
  require_rank(call, x, rank + 2);
  const Kind kind = call.layer().class_name.starts_with("AdaptiveMax") ? Kind::kMax : Kind::kMean;
  const auto sizes = config.integers("output_size", rank, 1);
  // A box has a mean or maximum of those along one axis after another.
  for (std::size_t i = rank; i-- > 0;) {
    if (sizes[i] < 1) config.invalid("output_size", fmt::format("is {}", sizes[i]));
    x = call.ops().append(
        program::Resample{.kind = kind,
                          .axis = first_spatial_axis(config) + static_cast<std::int64_t>(i),
                          .size = sizes[i]},
        {x});
  }
  call.output(x);
}

// Heights and widths of an image layer.
struct Size {
  std::int64_t height = 0;
  std::int64_t width = 0;
};

// One image or a batch of them, with the axis of their rows.
struct Images {
  ValueId value = 0;
  std::int64_t rows = 1;

  static Images of(LayerCall& call, ValueId x) {
    const std::size_t rank = call.shape(x).rank();
    if (rank != 3 && rank != 4) require_rank(call, x, 4);
    return {x, static_cast<std::int64_t>(rank) - (call.config().channels_first() ? 2 : 3)};
  }
  // Throws where it is not known before a request.
  Size size(LayerCall& call) const {
    const Shape& shape = call.shape(value);
    const Size size{shape[static_cast<std::size_t>(rows)],
                    shape[static_cast<std::size_t>(rows + 1)]};
    if (size.height < 1 || size.width < 1) {
      call.config().unsupported("height", "needs images of a known size");
    }
    return size;
  }
};

Size target_of(const Config& config) {
  constexpr std::int64_t kLimit = 1 << 20;
  const Size size{config.size("height"), config.size("width")};
  if (size.height > kLimit || size.width > kLimit) config.invalid("height", "is too large");
  return size;
}

ValueId cut(LayerCall& call, const Images& images, Size first, Size size) {
  ValueId x = call.ops().append(
      program::Slice{.axis = images.rows, .begin = first.height, .end = first.height + size.height},
      {images.value});
  return call.ops().append(
      program::Slice{
          .axis = images.rows + 1, .begin = first.width, .end = first.width + size.width},
      {x});
}

ValueId resized(LayerCall& call, const Images& images, Size to, Kind kind, bool antialias) {
  ValueId x = images.value;
  for (const auto& [axis, size] :
       {std::pair{images.rows + 1, to.width}, {images.rows, to.height}}) {
    if (call.shape(x)[static_cast<std::size_t>(axis)] == size) continue;
    x = call.ops().append(
        program::Resample{.kind = kind, .axis = axis, .size = size, .antialias = antialias}, {x});
  }
  return x;
}

// `a * b / c` as Keras computes it.
std::int64_t share(std::int64_t a, std::int64_t b, std::int64_t c) {
  return static_cast<std::int64_t>(static_cast<double>(a * b) / static_cast<double>(c));
}

// The largest part in the middle that has the shape of `to`.
Images cropped_to_ratio(LayerCall& call, const Images& images, Size to) {
  const Size size = images.size(call);
  const Size part{
      std::max<std::int64_t>(std::min(size.height, share(size.width, to.height, to.width)), 1),
      std::max<std::int64_t>(std::min(size.width, share(size.height, to.width, to.height)), 1)};
  const Size first{(size.height - part.height) / 2, (size.width - part.width) / 2};
  return {cut(call, images, first, part), images.rows};
}

Images padded_to_ratio(LayerCall& call, const Images& images, Size to) {
  const Config& config = call.config();
  if (config.text("fill_mode", "constant") != "constant") {
    config.unsupported("fill_mode", "is not 'constant'");
  }
  const Size size = images.size(call);
  const std::int64_t rows =
      (std::max(size.height, share(size.width, to.height, to.width)) - size.height) / 2;
  const std::int64_t columns =
      (std::max(size.width, share(size.height, to.width, to.height)) - size.width) / 2;
  const std::size_t rank = call.shape(images.value).rank();
  program::Pad pad{.before = std::vector<std::int64_t>(rank, 0),
                   .value = static_cast<float>(config.number("fill_value", 0))};
  pad.before[static_cast<std::size_t>(images.rows)] = rows;
  pad.before[static_cast<std::size_t>(images.rows + 1)] = columns;
  pad.after = pad.before;
  return {call.ops().append(std::move(pad), {images.value}), images.rows};
}

void lower_resizing(LayerCall& call) {
  const Config& config = call.config();
  const Size to = target_of(config);
  const Kind kind = interpolation(call, "bilinear");
  Images images = Images::of(call, interpolated(call, kind));
  if (config.boolean("crop_to_aspect_ratio", false)) {
    images = cropped_to_ratio(call, images, to);
  } else if (config.boolean("pad_to_aspect_ratio", false)) {
    images = padded_to_ratio(call, images, to);
  }
  call.output(resized(call, images, to, kind, config.boolean("antialias", false)));
}

// The largest part of the target's shape, at its size: what Keras calls a smart resize.
ValueId smart_resized(LayerCall& call, Size to) {
  const Images images = Images::of(call, interpolated(call, Kind::kLinear));
  return resized(call, cropped_to_ratio(call, images, to), to, Kind::kLinear, false);
}

void lower_center_crop(LayerCall& call) {
  const Size to = target_of(call.config());
  const Images images = Images::of(call, call.input());
  const Size size = images.size(call);
  const Size rest{size.height - to.height, size.width - to.width};
  call.output(rest.height >= 0 && rest.width >= 0
                  ? cut(call, images, {rest.height / 2, rest.width / 2}, to)
                  : smart_resized(call, to));
}

void lower_random_crop(LayerCall& call) {
  const graph::Layer& layer = call.layer();
  if (layer.keras_major >= 3 && layer.keras_minor >= 8) {
    call.output(call.input());
    return;
  }
  if (layer.keras_major >= 3 && layer.keras_minor >= 6) {
    call.config().unsupported("height",
                              "Keras 3.6 and 3.7 crop at inference in a way of their own");
  }
  call.output(smart_resized(call, target_of(call.config())));
}

}  // namespace

void register_resampling(Registry& registry);
void register_resampling(Registry& registry) {
  for (const char* name : {"UpSampling1D", "UpSampling2D", "UpSampling3D"}) {
    registry.add({.class_name = name,
                  .lower = lower_upsampling,
                  .refuses = {{"interpolation",
                               "other than nearest in files from before Keras "
                               "2.4, and for integers"}}});
  }
  for (const char* name :
       {"AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D",
        "AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D"}) {
    registry.add({.class_name = name, .lower = lower_adaptive_pooling});
  }
  registry.add({.class_name = "Resizing",
                .lower = lower_resizing,
                .refuses = {{"fill_mode", "other than constant"},
                            {"interpolation", "other than nearest for integers"},
                            {"height", "ratios of images of unknown size"}}});
  registry.add({.class_name = "CenterCrop",
                .lower = lower_center_crop,
                .refuses = {{"height", "images of unknown size"}}});
  registry.add({.class_name = "RandomCrop",
                .lower = lower_random_crop,
                .refuses = {{"height", "in files of Keras 3.6 and 3.7"}}});
}

}  // namespace kerf::layers
