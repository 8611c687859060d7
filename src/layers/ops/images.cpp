#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <vector>

#include "layers/image_axes.h"
#include "layers/image_batch.h"
#include "layers/operation.h"
#include "layers/patches.h"

// Operations on images: colours, patches, margins, and depth against space.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reduce;
using program::Reshape;

// An image or a batch of them, with the axis of its channels.
struct Colours {
  ValueId image;
  std::size_t axis;
};

Colours colours_of(Operation& op) {
  const ValueId x = op.to_float(op.tensor("images"));
  const std::size_t rank = op.rank(x);
  if (rank != 3 && rank != 4) {
    op.invalid("images", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  const std::size_t axis = op.arguments().channels_first() ? rank - 3 : rank - 1;
  if (op.shape(x)[axis] != 3) {
    op.invalid("images", fmt::format("has {} colours, not 3", op.shape(x)[axis]));
  }
  return {x, axis};
}

std::array<ValueId, 3> separated(Operation& op, const Colours& colours) {
  std::array<ValueId, 3> parts{};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto at = static_cast<std::int64_t>(i);
    parts[i] = op.slice(colours.image, colours.axis, at, at + 1);
  }
  return parts;
}

// Short names for what follows.
class Arithmetic {
 public:
  explicit Arithmetic(Operation& op) : op_(op) {}
  ValueId number(double value) { return op_.number(value, DType::kFloat32); }
  ValueId add(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kAdd, a, b); }
  ValueId subtract(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kSubtract, a, b); }
  ValueId multiply(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kMultiply, a, b); }
  ValueId divide(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kDivide, a, b); }
  ValueId equal(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kEqual, a, b); }
  ValueId greater(ValueId a, ValueId b) { return op_.binary(Binary::Kind::kGreater, a, b); }
  ValueId select(ValueId c, ValueId a, ValueId b) { return op_.select(c, a, b); }
  ValueId absolute(ValueId x) { return op_.unary({Function::kAbs}, x); }
  ValueId unit(ValueId x) { return op_.unary({Function::kHardSigmoid, 1, 0}, x); }

 private:
  Operation& op_;
};

void lower_grayscale(Operation& op) {
  const Colours colours = colours_of(op);
  const auto [red, green, blue] = separated(op, colours);
  Arithmetic on(op);
  const ValueId sum =
      on.add(on.multiply(red, on.number(0.2989)), on.multiply(green, on.number(0.5870)));
  op.output(on.add(sum, on.multiply(blue, on.number(0.1140))));
}

void lower_to_hsv(Operation& op) {
  const Colours colours = colours_of(op);
  const auto [red, green, blue] = separated(op, colours);
  Arithmetic on(op);
  const auto axis = static_cast<std::int64_t>(colours.axis);
  const ValueId value = op.reduce(Reduce::Kind::kMax, {axis}, true, colours.image);
  const ValueId range =
      on.subtract(value, op.reduce(Reduce::Kind::kMin, {axis}, true, colours.image));
  const ValueId zero = on.number(0);
  const ValueId saturation = on.select(on.greater(value, zero), on.divide(range, value), zero);
  const ValueId norm = on.divide(on.number(1), on.multiply(on.number(6), range));
  const auto turned = [&](ValueId a, ValueId b, double from) {
    return on.add(on.multiply(norm, on.subtract(a, b)), on.number(from));
  };
  ValueId hue =
      on.select(on.equal(value, green), turned(blue, red, 2.0 / 6), turned(red, green, 4.0 / 6));
  hue = on.select(on.equal(value, red), on.multiply(norm, on.subtract(green, blue)), hue);
  hue = on.select(on.greater(range, zero), hue, zero);
  hue = on.select(on.greater(zero, hue), on.add(hue, on.number(1)), hue);
  op.output(op.concat({hue, saturation, value}, colours.axis));
}

void lower_to_rgb(Operation& op) {
  const Colours colours = colours_of(op);
  const auto [hue, saturation, value] = separated(op, colours);
  Arithmetic on(op);
  const ValueId turn = on.multiply(hue, on.number(6));
  const ValueId two = on.number(2);
  const std::array<ValueId, 3> shares{
      on.unit(on.subtract(on.absolute(on.subtract(turn, on.number(3))), on.number(1))),
      on.unit(on.subtract(two, on.absolute(on.subtract(turn, two)))),
      on.unit(on.subtract(two, on.absolute(on.subtract(turn, on.number(4)))))};
  const ValueId rest = on.subtract(on.number(1), saturation);
  std::vector<ValueId> parts;
  parts.reserve(shares.size());
  for (const ValueId share : shares) {
    parts.push_back(on.multiply(value, on.add(rest, on.multiply(saturation, share))));
  }
  op.output(op.concat(std::move(parts), colours.axis));
}

void lower_extract_patches(Operation& op) {
  ImageBatch batch(op, op.tensor("images"));
  const ValueId x = batch.images();
  program::Window window{.rank = 2};
  const auto size = op.arguments().integers("size", 2, 1);
  const auto strides = op.has("strides") ? op.arguments().integers("strides", 2, 1) : size;
  const auto dilation = op.arguments().integers("dilation_rate", 2, 1);
  for (std::size_t i = 0; i < 2; ++i) {
    constexpr std::int64_t kLimit = 1 << 20;
    for (const std::int64_t number : {size[i], strides[i], dilation[i]}) {
      if (number < 1 || number > kLimit) op.invalid("size", "does not describe a window");
    }
    window.size[i] = size[i];
    window.strides[i] = strides[i];
    window.dilation[i] = dilation[i];
  }
  const std::string padding = op.arguments().text("padding", "valid");
  if (padding == "same") {
    window.padding = program::Padding::kSame;
  } else if (padding != "valid") {
    op.invalid("padding", fmt::format("is '{}'", padding));
  }
  batch.output(patches(op.call(), x, window, "size"));
}

// What is added to (or, by CropImages, taken from) each side of the two spatial axes.
void lower_margins(Operation& op) {
  ValueId x = op.tensor("images");
  const std::size_t rank = op.rank(x);
  if (rank != 3 && rank != 4) {
    op.invalid("images", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  const bool crops = op.class_name() == "CropImages";
  const std::string suffix = crops ? "_cropping" : "_padding";
  const std::size_t rows = rank - (op.arguments().channels_first() ? 2 : 3);
  program::Pad pad{.before = std::vector<std::int64_t>(rank, 0),
                   .after = std::vector<std::int64_t>(rank, 0)};
  static constexpr std::array<std::array<const char*, 3>, 2> kNames{
      {{"top", "bottom", "target_height"}, {"left", "right", "target_width"}}};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string before = kNames[i][0] + suffix;
    const std::string after = kNames[i][1] + suffix;
    const std::size_t axis = rows + i;
    std::int64_t begin = op.arguments().integer(before, 0);
    std::int64_t end = op.arguments().integer(after, 0);
    if (op.has(kNames[i][2])) {
      const std::int64_t difference =
          (op.arguments().size(kNames[i][2]) - op.known_size(x, axis)) * (crops ? -1 : 1);
      if (!op.has(before)) begin = difference - end;
      if (!op.has(after)) end = difference - begin;
    }
    if (begin < 0 || end < 0 || begin > program::kMaxDimension || end > program::kMaxDimension) {
      op.invalid(before, "does not fit the images");
    }
    pad.before[axis] = begin;
    pad.after[axis] = end;
    if (!crops) continue;
    std::optional<std::int64_t> last;
    if (end > 0) last = -end;
    x = op.slice(x, axis, begin, last);
  }
  op.output(crops ? x : op.ops().append(std::move(pad), {x}));
}

// Channels (dy, dx, c) against cells of block * block.
void lower_depth_and_space(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::int64_t block = op.arguments().size("block_size", 2);
  if (op.rank(x) != 4 || block > 1024) {
    op.invalid("x", fmt::format("has the shape {}", op.shape(x).to_string()));
  }
  if (op.arguments().channels_first()) {
    op.unsupported("data_format", "the backends of Keras order the channels differently");
  }
  const std::int64_t channels = op.known_size(x, 3);
  if (op.class_name() == "DepthToSpace") {
    if (channels % (block * block) != 0) op.invalid("block_size", "does not divide the channels");
    const ValueId split = op.reshape({Reshape::copy(0), Reshape::copy(1), Reshape::copy(2), block,
                                      block, channels / (block * block)},
                                     x);
    const ValueId moved = op.transpose({0, 1, 3, 2, 4, 5}, split);
    // One axis after the other: neither size need be known.
    const ValueId rows = op.reshape(
        {Reshape::copy(0), Reshape::kInfer, Reshape::copy(3), Reshape::copy(4), Reshape::copy(5)},
        moved);
    op.output(
        op.reshape({Reshape::copy(0), Reshape::copy(1), Reshape::kInfer, Reshape::copy(4)}, rows));
    return;
  }
  for (const std::size_t axis : {1U, 2U}) {
    const std::int64_t size = op.shape(x)[axis];
    if (size != Shape::kUnknown && size % block != 0) {
      op.invalid("block_size", fmt::format("does not divide {}", size));
    }
  }
  const ValueId columns =
      op.reshape({Reshape::copy(0), Reshape::copy(1), Reshape::kInfer, block, Reshape::copy(3)}, x);
  const ValueId split = op.reshape({Reshape::copy(0), Reshape::kInfer, block, Reshape::copy(2),
                                    Reshape::copy(3), Reshape::copy(4)},
                                   columns);
  op.output(
      op.reshape({Reshape::copy(0), Reshape::copy(1), Reshape::copy(2), channels * block * block},
                 op.transpose({0, 1, 3, 2, 4, 5}, split)));
}

// Windows as columns, the channels slowest: (n, channels * window, places).
void lower_unfold(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  if (op.rank(x) != 4) op.invalid("x", fmt::format("has the shape {}", op.shape(x).to_string()));
  const auto pair = [&](const char* name, std::int64_t fallback) {
    std::vector<std::int64_t> values{fallback};
    if (op.has(name)) values = op.arguments().integers(name);
    if (values.size() == 1) values.push_back(values[0]);
    constexpr std::int64_t kMost = 1 << 12;
    if (values.size() != 2 || std::ranges::any_of(values, [&](std::int64_t value) {
          return value < fallback || value > kMost;
        })) {
      op.invalid(name, "is no pair of sizes");
    }
    return values;
  };
  program::Window window;
  const std::vector<std::int64_t> size = pair("kernel_size", 1);
  const std::vector<std::int64_t> strides = pair("stride", 1);
  const std::vector<std::int64_t> dilation = pair("dilation", 1);
  const std::vector<std::int64_t> margin = pair("padding", 0);
  for (std::size_t i = 0; i < 2; ++i) {
    window.size[i] = size[i];
    window.strides[i] = strides[i];
    window.dilation[i] = dilation[i];
  }
  const std::int64_t channels = op.known_size(x, 1);
  const std::int64_t cells = size[0] * size[1];
  const program::Pad pad{.before = {0, margin[0], margin[1], 0},
                         .after = {0, margin[0], margin[1], 0}};
  const ValueId padded = op.ops().append(pad, {to_channels_last(op.call(), x)});
  const ValueId seen = patches(op.call(), padded, window, "kernel_size");
  const ValueId apart = op.reshape({Reshape::copy(0), Reshape::kInfer, cells, channels}, seen);
  op.output(op.reshape({Reshape::copy(0), channels * cells, Reshape::copy(3)},
                       op.transpose({0, 3, 2, 1}, apart)));
}

}  // namespace

void register_images(Registry& registry);
void register_images(Registry& registry) {
  add_operations(registry, {"RGBToGrayscale"}, {"images"}, {"data_format"}, lower_grayscale);
  add_operations(registry, {"RGBToHSV"}, {"images"}, {"data_format"}, lower_to_hsv);
  add_operations(registry, {"HSVToRGB"}, {"images"}, {"data_format"}, lower_to_rgb);
  add_operations(registry, {"ExtractPatches"}, {"images"},
                 {"size", "strides", "dilation_rate", "padding", "data_format"},
                 lower_extract_patches);
  add_operations(registry, {"Unfold"}, {"x"}, {"kernel_size", "dilation", "padding", "stride"},
                 lower_unfold);
  add_operations(registry, {"PadImages"}, {"images"},
                 {"top_padding", "left_padding", "bottom_padding", "right_padding", "target_height",
                  "target_width", "data_format"},
                 lower_margins);
  add_operations(registry, {"CropImages"}, {"images"},
                 {"top_cropping", "left_cropping", "bottom_cropping", "right_cropping",
                  "target_height", "target_width", "data_format"},
                 lower_margins);
  add_operations(registry, {"DepthToSpace", "SpaceToDepth"}, {"x"}, {"block_size", "data_format"},
                 lower_depth_and_space);
}

}  // namespace kerf::layers
