#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <cmath>
#include <map>
#include <optional>

#include "layers/python/bound.h"

// Functions of images, channels last: tf.image, and those of tf.nn that move cells into channels.
namespace kerf::layers::python {
namespace {

namespace json = boost::json;
using program::Reshape;

ValueId image(Evaluator& evaluator, const Value& x, std::size_t least_rank) {
  const ValueId id = evaluator.tensor(x);
  const Shape& shape = evaluator.layer().shape(id);
  if (shape.rank() < least_rank || shape.rank() > 4) {
    evaluator.refuse(fmt::format("it takes a tensor of shape {} for images", shape.to_string()));
  }
  return id;
}

std::array<std::int64_t, 2> size_of(Evaluator& evaluator, const Value& value) {
  const std::vector<Value> items = evaluator.unpacked(value, 2);
  std::array<std::int64_t, 2> size{};
  for (std::size_t i = 0; i < 2; ++i) {
    size[i] = evaluator.integer(items[i], "the size of an image");
    constexpr std::int64_t kMost = 1 << 16;
    if (size[i] < 1 || size[i] > kMost) {
      evaluator.refuse(fmt::format("the size of an image is {}", size[i]));
    }
  }
  return size;
}

// What TensorFlow 1 did: the first cells of the old and of the new image lie on each other, with
// `align` the last ones too.
Value stretched(Evaluator& evaluator, const Value& x, std::size_t axis, std::int64_t size,
                bool align, bool nearest) {
  LayerCall& call = evaluator.layer();
  const Shape shape = call.shape(evaluator.tensor(x));
  const std::int64_t old = shape[axis];
  if (old == Shape::kUnknown) evaluator.refuse("it resizes images of an unknown size");
  if (old == size) return x;
  const float scale = align && size > 1 ? static_cast<float>(old - 1) / static_cast<float>(size - 1)
                                        : static_cast<float>(old) / static_cast<float>(size);
  json::array lower;
  json::array upper;
  std::vector<float> shares;
  for (std::int64_t i = 0; i < size; ++i) {
    const float place = static_cast<float>(i) * scale;
    const float first = nearest && align ? std::round(place) : std::floor(place);
    const auto below = std::min(static_cast<std::int64_t>(first), old - 1);
    lower.push_back(below);
    upper.push_back(std::min(below + 1, old - 1));
    shares.push_back(place - first);
  }
  const auto taken = [&](json::array places) {
    return evaluator.operation("Take", {{"x", evaluator.json_of(x)},
                                        {"indices", std::move(places)},
                                        {"axis", static_cast<std::int64_t>(axis)}});
  };
  const Value a = taken(std::move(lower));
  if (nearest) return a;
  const Value b = taken(std::move(upper));
  Shape spread;
  for (std::size_t i = axis; i < shape.rank(); ++i) spread.push_back(i == axis ? size : 1);
  const Value share{TensorValue{call.ops().constant(Tensor::floats(spread, shares))}};
  const Value rise = evaluator.binary(BinaryOperator::kSubtract, b, a);
  return evaluator.binary(BinaryOperator::kAdd, a,
                          evaluator.binary(BinaryOperator::kMultiply, rise, share));
}

// tf.image.resize_images and its kin of TensorFlow 1.
Value compute_old_resize(Evaluator& evaluator, const Bound& given) {
  const ValueId images = image(evaluator, given.at("images"), 3);
  const auto size = size_of(evaluator, given.at("size"));
  bool nearest = given.path().ends_with("nearest_neighbor");
  if (given.has("method")) {
    const Value& method = given.at("method");
    const auto* text = method.as<std::string>();
    const auto* number = method.as<std::int64_t>();
    nearest = text != nullptr ? *text == "nearest" : number != nullptr && *number == 1;
    const bool linear = text != nullptr ? *text == "bilinear" : number != nullptr && *number == 0;
    if (!nearest && !linear) {
      evaluator.refuse(fmt::format("it resizes images by the method {}", describe(method)));
    }
  }
  const bool align = evaluator.truth(given.get("align_corners", {false}));
  LayerCall& call = evaluator.layer();
  Value x{TensorValue{nearest ? images : call.to_float(images)}};
  const std::size_t rows = call.shape(images).rank() - 3;
  x = stretched(evaluator, x, rows + 1, size[1], align, nearest);
  return stretched(evaluator, x, rows, size[0], align, nearest);
}

Value compute_resize(Evaluator& evaluator, const Bound& given) {
  const graph::Layer& layer = evaluator.layer().layer();
  if (layer.keras_major < 2 || (layer.keras_major == 2 && layer.keras_minor < 3)) {
    evaluator.refuse(
        "tf.image.resize is not the same function in TensorFlow 1 and 2, and the file does not say "
        "which one it means");
  }
  LayerCall& call = evaluator.layer();
  const ValueId images = call.to_float(image(evaluator, given.at("images"), 3));
  const auto size = size_of(evaluator, given.at("size"));
  if (evaluator.truth(given.get("preserve_aspect_ratio", {false}))) {
    evaluator.refuse("it keeps the aspect ratio of images that it resizes");
  }
  const Value method = given.get("method", {std::string("bilinear")});
  return evaluator.operation("Resize",
                             {{"images", evaluator.json_of({TensorValue{images}})},
                              {"size", json::array{size[0], size[1]}},
                              {"interpolation", evaluator.json_of(method)},
                              {"antialias", evaluator.truth(given.get("antialias", {false}))},
                              {"data_format", "channels_last"}});
}

Value compute_resize_images(Evaluator& evaluator, const Bound& given) {
  LayerCall& call = evaluator.layer();
  ValueId x = image(evaluator, given.at("x"), 4);
  const graph::Layer& layer = call.layer();
  const Value format = given.get("data_format", {std::string("channels_last")});
  const Value method = given.get("interpolation", {std::string("nearest")});
  const bool nearest = method.is<std::string>() && *method.as<std::string>() == "nearest";
  const bool linear = method.is<std::string>() && *method.as<std::string>() == "bilinear";
  const bool old = layer.keras_major < 2 || (layer.keras_major == 2 && layer.keras_minor < 4);
  if (!nearest && (!linear || old)) evaluator.refuse("it resizes images in a way of its own");
  if (linear) x = call.to_float(x);
  const bool first = format.is<std::string>() && (*format.as<std::string>() == "channels_first" ||
                                                  *format.as<std::string>() == "th");
  std::int64_t axis = first ? 2 : 1;
  for (const char* name : {"height_factor", "width_factor"}) {
    const std::int64_t factor = evaluator.integer(given.at(name), "a factor");
    if (factor < 1 || factor > 4096) evaluator.refuse(fmt::format("a factor is {}", factor));
    if (factor > 1) {
      x = call.ops().append(program::Resample{.kind = linear ? program::Resample::Kind::kLinear
                                                             : program::Resample::Kind::kNearest,
                                              .axis = axis,
                                              .factor = factor},
                            {x});
    }
    ++axis;
  }
  return {TensorValue{x}};
}

std::int64_t block_of(Evaluator& evaluator, const Bound& given) {
  const Value format = given.get("data_format", {std::string("NHWC")});
  if (!format.is<std::string>() || *format.as<std::string>() != "NHWC") {
    evaluator.refuse("it moves channels that do not come last");
  }
  const std::int64_t block = evaluator.integer(given.at("block_size"), "a block size");
  if (block < 1 || block > 1024) evaluator.refuse(fmt::format("a block size is {}", block));
  return block;
}

// (n, h, w, r * r * c) to (n, h * r, w * r, c): one axis after another, since of h and w no more
// than one can be open in a reshape.
Value compute_depth_to_space(Evaluator& evaluator, const Bound& given) {
  program::ProgramBuilder& ops = evaluator.layer().ops();
  ValueId x = image(evaluator, given.at("input"), 4);
  const std::int64_t block = block_of(evaluator, given);
  const std::int64_t channels = evaluator.layer().shape(x).back();
  if (channels < 1 || channels % (block * block) != 0) {
    evaluator.refuse(fmt::format("{} channels are no blocks of {}", channels, block));
  }
  const std::int64_t rest = channels / (block * block);
  const auto copy = [](std::size_t i) { return Reshape::copy(i); };
  x = ops.append(Reshape{{copy(0), copy(1), copy(2), block, block, rest}}, {x});
  x = ops.append(program::Transpose{{0, 1, 3, 2, 4, 5}}, {x});
  x = ops.append(Reshape{{copy(0), copy(1), copy(2), Reshape::kInfer, rest}}, {x});
  const ValueId wide = x;
  std::vector<std::int64_t> dims{copy(0), Reshape::kInfer, copy(3), copy(4)};
  x = ops.append(Reshape{dims}, {wide});
  return {TensorValue{x}};
}

Value compute_space_to_depth(Evaluator& evaluator, const Bound& given) {
  program::ProgramBuilder& ops = evaluator.layer().ops();
  ValueId x = image(evaluator, given.at("input"), 4);
  const std::int64_t block = block_of(evaluator, given);
  const std::int64_t channels = evaluator.layer().shape(x).back();
  if (channels < 1) evaluator.refuse("it moves cells into an unknown number of channels");
  const auto copy = [](std::size_t i) { return Reshape::copy(i); };
  x = ops.append(Reshape{{copy(0), Reshape::kInfer, block, copy(2), channels}}, {x});
  x = ops.append(Reshape{{copy(0), copy(1), copy(2), Reshape::kInfer, block, channels}}, {x});
  x = ops.append(program::Transpose{{0, 1, 3, 2, 4, 5}}, {x});
  x = ops.append(Reshape{{copy(0), copy(1), copy(2), block * block * channels}}, {x});
  return {TensorValue{x}};
}

Value compute_grayscale(Evaluator& evaluator, const Bound& given) {
  LayerCall& call = evaluator.layer();
  const ValueId x = image(evaluator, given.at("images"), 3);
  if (call.shape(x).back() != 3 || !is_floating(call.type(x).dtype)) {
    evaluator.refuse("it makes gray what is no image of three channels of floats");
  }
  const std::array<float, 3> weights{0.2989F, 0.5870F, 0.1140F};
  const Value factors{TensorValue{call.ops().constant(Tensor::floats({3}, weights))}};
  const Value parts = evaluator.binary(BinaryOperator::kMultiply, {TensorValue{x}}, factors);
  return evaluator.operation("Sum",
                             {{"x", evaluator.json_of(parts)}, {"axis", -1}, {"keepdims", true}});
}

Value compute_flip(Evaluator& evaluator, const Bound& given) {
  const ValueId x = image(evaluator, given.at("image"), 3);
  const auto rows = static_cast<std::int64_t>(evaluator.layer().shape(x).rank()) - 3;
  const bool sideways = given.path().ends_with("left_right");
  return evaluator.operation(
      "Flip", {{"x", evaluator.json_of({TensorValue{x}})}, {"axis", sideways ? rows + 1 : rows}});
}

Value compute_crop(Evaluator& evaluator, const Bound& given) {
  LayerCall& call = evaluator.layer();
  ValueId x = image(evaluator, given.at("image"), 3);
  std::int64_t axis = static_cast<std::int64_t>(call.shape(x).rank()) - 3;
  for (const auto& [offset, size] :
       {std::pair{"offset_height", "target_height"}, std::pair{"offset_width", "target_width"}}) {
    const std::int64_t begin = evaluator.integer(given.at(offset), "an offset");
    const std::int64_t end = begin + evaluator.integer(given.at(size), "the size of an image");
    const std::int64_t known = call.shape(x)[static_cast<std::size_t>(axis)];
    if (begin < 0 || end <= begin || (known != Shape::kUnknown && end > known)) {
      evaluator.refuse("it cuts out what lies outside of an image");
    }
    x = call.ops().append(program::Slice{.axis = axis++, .begin = begin, .end = end}, {x});
  }
  return {TensorValue{x}};
}

Value compute_standardization(Evaluator& evaluator, const Bound& given) {
  LayerCall& call = evaluator.layer();
  const ValueId x = call.to_float(image(evaluator, given.at("image"), 3));
  const Shape& shape = call.shape(x);
  const auto rank = static_cast<std::int64_t>(shape.rank());
  std::int64_t count = 1;
  json::array axes;
  for (std::int64_t axis = rank - 3; axis < rank; ++axis) {
    const std::int64_t size = shape[static_cast<std::size_t>(axis)];
    if (size < 1) evaluator.refuse("it standardises images of an unknown size");
    count *= size;
    axes.push_back(axis);
  }
  const Value images{TensorValue{x}};
  const auto over = [&](const char* name, const Value& value) {
    return evaluator.operation(
        name, {{"x", evaluator.json_of(value)}, {"axis", axes}, {"keepdims", true}});
  };
  const Value spread =
      evaluator.operation("Maximum", {{"x1", evaluator.json_of(over("Std", images))},
                                      {"x2", 1 / std::sqrt(static_cast<double>(count))}});
  const Value centred = evaluator.binary(BinaryOperator::kSubtract, images, over("Mean", images));
  return evaluator.binary(BinaryOperator::kDivide, centred, spread);
}

Value compute_pool(Evaluator& evaluator, const Bound& given) {
  const auto window = [&](const char* name) {
    const Value& value = given.at(name);
    if (value.is<std::int64_t>()) return evaluator.json_of(value);
    const auto* items = value.as<Sequence>();
    if (items == nullptr) evaluator.refuse(fmt::format("its {} is {}", name, describe(value)));
    // Of four sizes, the first and last are those of batch and channels.
    json::value all = evaluator.json_of(value);
    json::array& array = all.get_array();
    if (array.size() != 4) return all;
    if (array[0] != 1 || array[3] != 1) evaluator.refuse("it pools over samples or channels");
    return json::value(json::array{array[1], array[2]});
  };
  const auto* padding = given.at("padding").as<std::string>();
  if (padding == nullptr) evaluator.refuse("its padding is no text");
  const bool same = *padding == "SAME" || *padding == "same";
  const bool largest = given.path().find("max") != std::string::npos;
  return evaluator.operation(largest ? "MaxPool" : "AveragePool",
                             {{"inputs", evaluator.json_of(given.at("input"))},
                              {"pool_size", window("ksize")},
                              {"strides", window("strides")},
                              {"padding", same ? "same" : "valid"},
                              {"data_format", "channels_last"}});
}

// x / (bias + alpha * the sum of squares of the channels around) ^ beta.
Value compute_response_normalization(Evaluator& evaluator, const Bound& given) {
  LayerCall& call = evaluator.layer();
  const ValueId x = call.to_float(image(evaluator, given.at("input"), 4));
  const std::int64_t radius =
      evaluator.integer(given.get("depth_radius", {std::int64_t{5}}), "a radius");
  const std::int64_t channels = call.shape(x).back();
  if (radius < 0 || radius > 4096 || channels < 1) evaluator.refuse("it normalises no channels");
  const auto number = [&](const char* name, double fallback) {
    return evaluator.number(given.get(name, {fallback}), name);
  };
  // The sums are a product with a band of ones.
  if (channels > 4096) evaluator.refuse("it normalises too many channels");
  std::vector<float> band(static_cast<std::size_t>(channels * channels));
  for (std::int64_t i = 0; i < channels; ++i) {
    const std::int64_t last = std::min(channels - 1, i + radius);
    for (std::int64_t j = std::max<std::int64_t>(0, i - radius); j <= last; ++j) {
      band[static_cast<std::size_t>(i * channels + j)] = 1;
    }
  }
  const Value ones{TensorValue{call.ops().constant(Tensor::floats({channels, channels}, band))}};
  const Value images{TensorValue{x}};
  const Value squares = evaluator.operation("Square", {{"x", evaluator.json_of(images)}});
  const Value sums = evaluator.binary(BinaryOperator::kMatrixMultiply, squares, ones);
  const Value base = evaluator.binary(
      BinaryOperator::kAdd, evaluator.binary(BinaryOperator::kMultiply, sums, {number("alpha", 1)}),
      {number("bias", 1)});
  return evaluator.binary(BinaryOperator::kDivide, images,
                          evaluator.binary(BinaryOperator::kPower, base, {number("beta", 0.5)}));
}

Value compute_float_image(Evaluator& evaluator, const Bound& given) {
  const ValueId x = evaluator.tensor(given.at("image"));
  if (!is_floating(evaluator.layer().type(x).dtype)) {
    evaluator.refuse("it scales integers by the range of a type that kerf widens");
  }
  return {TensorValue{x}};
}

const std::map<std::string_view, Intrinsic>& intrinsics() {
  static const std::vector<std::string_view> kOldSize{"images", "size", "method", "align_corners"};
  static const std::vector<std::string_view> kOldKernel{"images", "size", "align_corners"};
  static const std::vector<std::string_view> kPool{"input", "ksize", "strides", "padding"};
  static const std::vector<std::string_view> kBlock{"input", "block_size", "data_format"};
  static const std::map<std::string_view, Intrinsic> kIntrinsics{
      {"tf.image.resize_images", {kOldSize, compute_old_resize}},
      {"tf.image.resize_bilinear", {kOldKernel, compute_old_resize}},
      {"tf.image.resize_nearest_neighbor", {kOldKernel, compute_old_resize}},
      {"tf.image.resize",
       {{"images", "size", "method", "preserve_aspect_ratio", "antialias"}, compute_resize}},
      {"K.resize_images",
       {{"x", "height_factor", "width_factor", "data_format", "interpolation"},
        compute_resize_images}},
      {"tf.image.rgb_to_grayscale", {{"images"}, compute_grayscale}},
      {"tf.image.flip_left_right", {{"image"}, compute_flip}},
      {"tf.image.flip_up_down", {{"image"}, compute_flip}},
      {"tf.image.crop_to_bounding_box",
       {{"image", "offset_height", "offset_width", "target_height", "target_width"}, compute_crop}},
      {"tf.image.per_image_standardization", {{"image"}, compute_standardization}},
      {"tf.image.convert_image_dtype", {{"image", "dtype", "saturate"}, compute_float_image}},
      {"tf.nn.depth_to_space", {kBlock, compute_depth_to_space}},
      {"tf.depth_to_space", {kBlock, compute_depth_to_space}},
      {"tf.nn.space_to_depth", {kBlock, compute_space_to_depth}},
      {"tf.space_to_depth", {kBlock, compute_space_to_depth}},
      {"tf.nn.max_pool", {kPool, compute_pool}},
      {"tf.nn.max_pool2d", {kPool, compute_pool}},
      {"tf.nn.avg_pool", {kPool, compute_pool}},
      {"tf.nn.avg_pool2d", {kPool, compute_pool}},
      {"tf.nn.local_response_normalization",
       {{"input", "depth_radius", "bias", "alpha", "beta"}, compute_response_normalization}},
      {"tf.nn.lrn",
       {{"input", "depth_radius", "bias", "alpha", "beta"}, compute_response_normalization}}};
  return kIntrinsics;
}

}  // namespace

const Intrinsic* find_image_intrinsic(std::string_view path) {
  const auto it = intrinsics().find(path);
  return it == intrinsics().end() ? nullptr : &it->second;
}

}  // namespace kerf::layers::python
