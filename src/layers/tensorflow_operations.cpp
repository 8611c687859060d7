#include "layers/tensorflow_operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kerf/error.h"
#include "layers/foreign_function.h"
#include "layers/operation.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;

void adapt_first_axis(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "axis", 0);
}

void adapt_gather(Arguments& arguments, std::string&, const std::string& where) {
  default_to(arguments, "axis", 0);
  require(arguments, "batch_dims", 0, where);
  arguments.erase("validate_indices");
}

void adapt_gelu(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "approximate", false);
}

void adapt_swish(Arguments& arguments, std::string&, const std::string& where) {
  require(arguments, "beta", 1, where);
}

void adapt_one_hot(Arguments& arguments, std::string&, const std::string& where) {
  require(arguments, "on_value", 1, where);
  require(arguments, "off_value", 0, where);
}

void adapt_l2_normalize(Arguments& arguments, std::string&, const std::string& where) {
  if (!arguments.contains("axis")) fail_at(where, "it is called without an axis");
  // TensorFlow bounds the square of the norm, Keras the norm.
  double epsilon = 1e-12;
  const auto it = arguments.find("epsilon");
  if (it != arguments.end() && it->second.is_number()) epsilon = it->second.to_number<double>();
  arguments.insert_or_assign("epsilon", std::sqrt(epsilon));
}

void adapt_matmul(Arguments& arguments, std::string& class_name, const std::string& where) {
  for (const char* name : {"a_is_sparse", "b_is_sparse"}) {
    if (is_true(arguments, name)) fail_at(where, "it multiplies sparse matrices");
    arguments.erase(name);
  }
  const bool a = is_true(arguments, "transpose_a") || is_true(arguments, "adjoint_a");
  const bool b = is_true(arguments, "transpose_b") || is_true(arguments, "adjoint_b");
  for (const char* name : {"transpose_a", "transpose_b", "adjoint_a", "adjoint_b"}) {
    arguments.erase(name);
  }
  if (!a && !b) return;
  class_name = "Einsum";
  arguments.insert_or_assign("subscripts",
                             fmt::format("...{},...{}->...ik", a ? "ji" : "ij", b ? "kj" : "jk"));
}

// Sizes of the parts, where Keras takes the places of the cuts.
void adapt_split(Arguments& arguments, std::string&, const std::string& where) {
  require(arguments, "num", 0, where);
  default_to(arguments, "axis", 0);
  const auto it = arguments.find("indices_or_sections");
  json::array* sizes = it == arguments.end() ? nullptr : it->second.if_array();
  if (sizes == nullptr) return;
  json::array cuts;
  std::int64_t at = 0;
  for (std::size_t i = 0; i + 1 < sizes->size(); ++i) {
    const json::value& size = (*sizes)[i];
    if (!size.is_int64() || size.get_int64() < 0 || size.get_int64() > (std::int64_t{1} << 31)) {
      fail_at(where, "the size of a part is not given");
    }
    cuts.push_back(at += size.get_int64());
  }
  it->second = std::move(cuts);
}

void adapt_pad(Arguments& arguments, std::string&, const std::string& where) {
  default_to(arguments, "mode", "constant");
  json::value& mode = arguments.find("mode")->second;
  if (!mode.is_string()) fail_at(where, "its mode is no string");
  std::string text(mode.get_string());
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  mode = text;
}

void adapt_resize(Arguments& arguments, std::string&, const std::string& where) {
  if (is_true(arguments, "preserve_aspect_ratio"))
    fail_at(where, "it keeps the ratio of the sides");
  arguments.erase("preserve_aspect_ratio");
}

// NHWC or NCHW, in Keras' words.
void adapt_format(Arguments& arguments, std::string&, const std::string& where) {
  const auto it = arguments.find("data_format");
  if (it == arguments.end()) return;
  const bool known = it->second == "NHWC" || it->second == "NCHW";
  if (!known) fail_at(where, "kerf does not know its data_format");
  it->second = it->second == "NHWC" ? "channels_last" : "channels_first";
}

void adapt_pool(Arguments& arguments, std::string& class_name, const std::string& where) {
  adapt_format(arguments, class_name, where);
  const auto it = arguments.find("padding");
  if (it == arguments.end() || !it->second.is_string()) fail_at(where, "its padding is no string");
  it->second = it->second == "SAME" ? "same" : "valid";
}

// From the last axes: images stand in batches or alone.
void adapt_mirror(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "axis", -2);
}
void adapt_mirror_rows(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "axis", -3);
}

void adapt_sort(Arguments& arguments, std::string&, const std::string& where) {
  const auto it = arguments.find("direction");
  if (it == arguments.end()) return;
  if (it->second != "ASCENDING") fail_at(where, "it sorts downwards");
  arguments.erase(it);
}

void adapt_diagonal(Arguments& arguments, std::string&, const std::string& where) {
  require(arguments, "k", 0, where);
  default_to(arguments, "axis1", -2);
  default_to(arguments, "axis2", -1);
}

// Begins, ends and steps, with a bit for each entry that means something else, as a key.
void adapt_strided_slice(Arguments& arguments, std::string&, const std::string& where) {
  const auto list = [&](std::string_view name) -> json::array {
    const auto it = arguments.find(name);
    if (it == arguments.end()) return {};
    if (!it->second.is_array()) fail_at(where, fmt::format("its argument {} is no list", name));
    json::array entries = std::move(it->second.get_array());
    arguments.erase(it);
    return entries;
  };
  const auto mask = [&](std::string_view name) -> std::uint64_t {
    const auto it = arguments.find(name);
    if (it == arguments.end()) return 0;
    if (!it->second.is_int64() || it->second.get_int64() < 0) {
      fail_at(where, fmt::format("its argument {} is no mask", name));
    }
    const auto bits = static_cast<std::uint64_t>(it->second.get_int64());
    arguments.erase(it);
    return bits;
  };
  const json::array begin = list("begin");
  const json::array end = list("end");
  const json::array step = list("strides");
  const std::uint64_t no_begin = mask("begin_mask");
  const std::uint64_t no_end = mask("end_mask");
  const std::uint64_t ellipsis = mask("ellipsis_mask");
  const std::uint64_t added = mask("new_axis_mask");
  const std::uint64_t dropped = mask("shrink_axis_mask");
  if (begin.size() != end.size() || begin.size() > 32)
    fail_at(where, "its lists do not fit together");
  json::array key;
  for (std::size_t i = 0; i < begin.size(); ++i) {
    const auto has = [&](std::uint64_t bits) { return ((bits >> i) & 1U) != 0; };
    if (has(ellipsis)) {
      key.push_back({{"class_name", "__ellipsis__"}, {"config", json::object{}}});
    } else if (has(added)) {
      key.push_back(nullptr);
    } else if (has(dropped)) {
      key.push_back(begin[i]);
    } else {
      key.push_back(
          {{"class_name", "__slice__"},
           {"config", json::object{{"start", has(no_begin) ? json::value() : begin[i]},
                                   {"stop", has(no_end) ? json::value() : end[i]},
                                   {"step", i < step.size() ? step[i] : json::value()}}}});
    }
  }
  arguments.insert_or_assign("key", std::move(key));
}

// A slice, an index, an ellipsis or a new axis as Keras 3 writes them.
json::value key_item(const json::value& item) {
  const json::object* object = item.if_object();
  if (object == nullptr) return item;
  if (object->contains("start") || object->contains("stop") || object->contains("step")) {
    json::object config;
    for (const char* name : {"start", "stop", "step"}) {
      const json::value* bound = object->if_contains(name);
      config[name] = bound == nullptr ? json::value(nullptr) : *bound;
    }
    return json::object{{"class_name", "__slice__"}, {"config", std::move(config)}};
  }
  const json::value* name = object->if_contains("class_name");
  const bool ellipsis = name != nullptr && name->is_string() &&
                        std::string_view(name->get_string()).find("llipsis") != std::string::npos;
  if (ellipsis) {
    return json::object{{"class_name", "__ellipsis__"}, {"config", json::object{}}};
  }
  return item;
}

void adapt_getitem(Arguments& arguments, std::string&, const std::string& where) {
  const auto it = arguments.find("key");
  if (it == arguments.end()) fail_at(where, "it is called without a slice_spec");
  if (json::array* items = it->second.if_array()) {
    for (json::value& item : *items) {
      json::value translated = key_item(item);
      item = std::move(translated);
    }
  } else {
    json::value translated = key_item(it->second);
    it->second = json::array{std::move(translated)};
  }
}

const std::map<std::string_view, ForeignFunction>& functions() {
  static const std::map<std::string_view, ForeignFunction> kFunctions = [] {
    std::map<std::string_view, ForeignFunction> table;
    const auto binary = [&](std::initializer_list<std::string_view> names,
                            std::string_view class_name) {
      for (const std::string_view name : names) {
        table[name] = {class_name, {{"x", "x1", false}, {"y", "x2", false}}};
      }
    };
    binary({"add"}, "Add");
    binary({"subtract", "sub"}, "Subtract");
    binary({"multiply", "mul"}, "Multiply");
    binary({"divide", "truediv"}, "TrueDivide");
    binary({"divide_no_nan"}, "DivideNoNan");
    binary({"floordiv"}, "FloorDivide");
    binary({"floormod", "mod"}, "Mod");
    binary({"pow"}, "Power");
    binary({"maximum"}, "Maximum");
    binary({"minimum"}, "Minimum");
    binary({"equal", "eq"}, "Equal");
    binary({"not_equal", "ne"}, "NotEqual");
    binary({"greater", "gt"}, "Greater");
    binary({"greater_equal", "ge"}, "GreaterEqual");
    binary({"less", "lt"}, "Less");
    binary({"less_equal", "le"}, "LessEqual");
    binary({"logical_and"}, "LogicalAnd");
    binary({"logical_or"}, "LogicalOr");
    binary({"logical_xor"}, "LogicalXor");
    binary({"atan2"}, "Arctan2");
    table["bias_add"] = {"Add", {{"value", "x1", false}, {"bias", "x2", false}}};

    const auto unary = [&](std::string_view name, std::string_view class_name) {
      table[name] = {class_name, {{"x", "x", false}}};
    };
    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"abs", "Absolute"},
             {"negative", "Negative"},
             {"neg", "Negative"},
             {"sign", "Sign"},
             {"square", "Square"},
             {"sqrt", "Sqrt"},
             {"exp", "Exp"},
             {"log", "Log"},
             {"log1p", "Log1p"},
             {"expm1", "Expm1"},
             {"sin", "Sin"},
             {"cos", "Cos"},
             {"tan", "Tan"},
             {"tanh", "Tanh"},
             {"sinh", "Sinh"},
             {"cosh", "Cosh"},
             {"asin", "Arcsin"},
             {"acos", "Arccos"},
             {"atan", "Arctan"},
             {"floor", "Floor"},
             {"ceil", "Ceil"},
             {"round", "Round"},
             {"reciprocal", "Reciprocal"},
             {"is_nan", "Isnan"},
             {"is_inf", "Isinf"},
             {"is_finite", "Isfinite"},
             {"logical_not", "LogicalNot"},
             {"zeros_like", "ZerosLike"},
             {"ones_like", "OnesLike"}}) {
      unary(name, class_name);
    }
    unary("rsqrt", "Rsqrt");
    unary("erf", "Erf");
    unary("stop_gradient", "StopGradient");
    unary("identity", "StopGradient");
    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"sigmoid", "Sigmoid"},
             {"relu", "Relu"},
             {"relu6", "Relu6"},
             {"selu", "Selu"},
             {"softplus", "Softplus"},
             {"softsign", "Softsign"},
             {"log_sigmoid", "LogSigmoid"},
             {"elu", "Elu"}}) {
      unary(name, class_name);
    }
    for (const char* name : {"silu", "swish"}) {
      table[name] = {"Silu", {{"features", "x", false}, {"beta", "beta"}}, adapt_swish};
    }
    table["leaky_relu"] = {"LeakyRelu", {{"features", "x", false}, {"alpha", "negative_slope"}}};
    table["gelu"] = {
        "Gelu", {{"features", "x", false}, {"approximate", "approximate"}}, adapt_gelu};
    table["softmax"] = {"Softmax", {{"logits", "x", false}, {"axis", "axis"}}};
    table["log_softmax"] = {"LogSoftmax", {{"logits", "x", false}, {"axis", "axis"}}};

    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"reduce_sum", "Sum"},
             {"reduce_mean", "Mean"},
             {"reduce_max", "Max"},
             {"reduce_min", "Min"},
             {"reduce_prod", "Prod"},
             {"reduce_std", "Std"},
             {"reduce_variance", "Var"},
             {"reduce_any", "Any"},
             {"reduce_all", "All"},
             {"reduce_logsumexp", "Logsumexp"}}) {
      table[name] = {class_name,
                     {{"input_tensor", "x", false},
                      {"axis", "axis"},
                      {"keepdims", "keepdims"},
                      {"name", "name"},
                      {"reduction_indices", "axis"},
                      {"keep_dims", "keepdims"}}};
    }
    table["cumsum"] = {"Cumsum", {{"x", "x", false}, {"axis", "axis"}}, adapt_first_axis};
    table["cumprod"] = table["cumsum"];
    table["cumprod"].class_name = "Cumprod";
    {
      table["l2_normalize"] = {"Normalize",
                               {{"x", "x", false}, {"axis", "axis"}, {"epsilon", "epsilon"}},
                               adapt_l2_normalize};
    }
    table["norm"] = {
        "Norm",
        {{"tensor", "x", false}, {"ord", "ord"}, {"axis", "axis"}, {"keepdims", "keepdims"}}};

    table["concat"] = {"Concatenate", {{"values", "xs", false}, {"axis", "axis"}}};
    table["stack"] = {"Stack", {{"values", "xs", false}, {"axis", "axis"}}};
    table["unstack"] = {"Unstack", {{"value", "x", false}, {"num", "num"}, {"axis", "axis"}}};
    table["split"] = {"Split",
                      {{"value", "x", false},
                       {"num_or_size_splits", "indices_or_sections"},
                       {"axis", "axis"},
                       {"num", "num"}},
                      adapt_split};
    table["reshape"] = {"Reshape", {{"tensor", "x", false}, {"shape", "newshape"}}};
    table["transpose"] = {"Transpose", {{"a", "x", false}, {"perm", "axes"}}};
    table["expand_dims"] = {"ExpandDims", {{"input", "x", false}, {"axis", "axis"}}};
    table["squeeze"] = {"Squeeze", {{"input", "x", false}, {"axis", "axis"}}};
    table["tile"] = {"Tile", {{"input", "x", false}, {"multiples", "repeats"}}};
    table["repeat"] = {"Repeat", {{"input", "x", false}, {"repeats", "repeats"}, {"axis", "axis"}}};
    table["reverse"] = {"Flip", {{"tensor", "x", false}, {"axis", "axis"}}};
    table["roll"] = {"Roll", {{"input", "x", false}, {"shift", "shift"}, {"axis", "axis"}}};
    table["broadcast_to"] = {"BroadcastTo", {{"input", "x", false}, {"shape", "shape"}}};
    table["pad"] = {"Pad",
                    {{"tensor", "x", false},
                     {"paddings", "pad_width"},
                     {"mode", "mode"},
                     {"constant_values", "constant_values", false}},
                    adapt_pad};
    table["clip_by_value"] = {
        "Clip", {{"t", "x", false}, {"clip_value_min", "x_min"}, {"clip_value_max", "x_max"}}};
    table["cast"] = {"Cast", {{"x", "x", false}, {"dtype", "dtype"}}};
    table["where"] = {"Where",
                      {{"condition", "condition", false}, {"x", "x1", false}, {"y", "x2", false}}};
    table["gather"] = {"Take",
                       {{"params", "x", false},
                        {"indices", "indices", false},
                        {"validate_indices", "validate_indices"},
                        {"axis", "axis"},
                        {"batch_dims", "batch_dims"}},
                       adapt_gather};
    table["one_hot"] = {"OneHot",
                        {{"indices", "x", false},
                         {"depth", "num_classes"},
                         {"on_value", "on_value"},
                         {"off_value", "off_value"},
                         {"axis", "axis"},
                         {"dtype", "dtype"}},
                        adapt_one_hot};
    table["matmul"] = {"Matmul",
                       {{"a", "x1", false},
                        {"b", "x2", false},
                        {"transpose_a", "transpose_a"},
                        {"transpose_b", "transpose_b"},
                        {"adjoint_a", "adjoint_a"},
                        {"adjoint_b", "adjoint_b"},
                        {"a_is_sparse", "a_is_sparse"},
                        {"b_is_sparse", "b_is_sparse"}},
                       adapt_matmul};
    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"asinh", "Arcsinh"},
             {"acosh", "Arccosh"},
             {"atanh", "Arctanh"},
             {"erfc", "Erfc"},
             {"erfinv", "Erfinv"},
             {"rint", "Round"},
             {"trace", "Trace"},
             {"invert", "BitwiseInvert"}}) {
      unary(name, class_name);
    }
    table["trace"].adapt = adapt_diagonal;
    for (const char* name : {"bitwise_and", "bitwise_or", "bitwise_xor"}) {
      table[name] = {std::string_view(name) == "bitwise_and"  ? "BitwiseAnd"
                     : std::string_view(name) == "bitwise_or" ? "BitwiseOr"
                                                              : "BitwiseXor",
                     {{"x", "x", false}, {"y", "y", false}}};
    }
    table["left_shift"] = {"LeftShift", {{"x", "x", false}, {"y", "y", false}}};
    table["right_shift"] = {"RightShift", {{"x", "x", false}, {"y", "y", false}}};
    table["argmax"] = {"Argmax", {{"input", "x", false}, {"axis", "axis"}}, adapt_first_axis};
    table["argmin"] = {"Argmin", {{"input", "x", false}, {"axis", "axis"}}, adapt_first_axis};
    table["top_k"] = {"TopK", {{"input", "x", false}, {"k", "k"}, {"sorted", "sorted"}}};
    table["sort"] = {
        "Sort", {{"values", "x", false}, {"axis", "axis"}, {"direction", "direction"}}, adapt_sort};
    table["argsort"] = table["sort"];
    table["argsort"].class_name = "Argsort";
    table["moments"] = {"Moments", {{"x", "x", false}, {"axes", "axes"}, {"keepdims", "keepdims"}}};
    table["batch_normalization"] = {"BatchNorm",
                                    {{"x", "x", false},
                                     {"mean", "mean", false},
                                     {"variance", "variance", false},
                                     {"offset", "offset", false},
                                     {"scale", "scale", false},
                                     {"variance_epsilon", "epsilon"}}};
    table["diag_part"] = {"Diagonal", {{"input", "x", false}, {"k", "k"}}, adapt_diagonal};
    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"unsorted_segment_sum", "SegmentSum"},
             {"unsorted_segment_max", "SegmentMax"},
             {"unsorted_segment_min", "SegmentMin"},
             {"unsorted_segment_prod", "SegmentProd"}}) {
      table[name] = {class_name,
                     {{"data", "data", false},
                      {"segment_ids", "segment_ids", false},
                      {"num_segments", "num_segments"}}};
    }
    table["depth_to_space"] = {
        "DepthToSpace",
        {{"input", "x", false}, {"block_size", "block_size"}, {"data_format", "data_format"}},
        adapt_format};
    table["space_to_depth"] = table["depth_to_space"];
    table["space_to_depth"].class_name = "SpaceToDepth";
    table["max_pool2d"] = {"MaxPool",
                           {{"input", "inputs", false},
                            {"ksize", "pool_size"},
                            {"strides", "strides"},
                            {"padding", "padding"},
                            {"data_format", "data_format"}},
                           adapt_pool};
    table["avg_pool2d"] = table["max_pool2d"];
    table["avg_pool2d"].class_name = "AveragePool";
    table["resize"] = {"Resize",
                       {{"images", "images", false},
                        {"size", "size"},
                        {"method", "interpolation"},
                        {"antialias", "antialias"},
                        {"preserve_aspect_ratio", "preserve_aspect_ratio"}},
                       adapt_resize};
    table["rgb_to_grayscale"] = {"RGBToGrayscale", {{"images", "images", false}}};
    table["rgb_to_hsv"] = {"RGBToHSV", {{"images", "images", false}}};
    table["hsv_to_rgb"] = {"HSVToRGB", {{"images", "images", false}}};
    table["flip_left_right"] = {"Flip", {{"image", "x", false}}, adapt_mirror};
    table["flip_up_down"] = {"Flip", {{"image", "x", false}}, adapt_mirror_rows};
    table["pad_to_bounding_box"] = {"PadImages",
                                    {{"image", "images", false},
                                     {"offset_height", "top_padding"},
                                     {"offset_width", "left_padding"},
                                     {"target_height", "target_height"},
                                     {"target_width", "target_width"}}};
    table["crop_to_bounding_box"] = {"CropImages",
                                     {{"image", "images", false},
                                      {"offset_height", "top_cropping"},
                                      {"offset_width", "left_cropping"},
                                      {"target_height", "target_height"},
                                      {"target_width", "target_width"}}};
    table["slice"] = {
        "Slice",
        {{"input_", "inputs", false}, {"begin", "start_indices", false}, {"size", "shape"}}};
    table["strided_slice"] = {"GetItem",
                              {{"input_", "x", false},
                               {"key", "key", false},
                               {"begin", "begin"},
                               {"end", "end"},
                               {"strides", "strides"},
                               {"begin_mask", "begin_mask"},
                               {"end_mask", "end_mask"},
                               {"ellipsis_mask", "ellipsis_mask"},
                               {"new_axis_mask", "new_axis_mask"},
                               {"shrink_axis_mask", "shrink_axis_mask"}},
                              adapt_strided_slice};
    table["getitem"] = {
        "GetItem", {{"tensor", "x", false}, {"slice_spec", "key", false}}, adapt_getitem};
    return table;
  }();
  return kFunctions;
}

}  // namespace

const ForeignFunction* tensorflow_function(std::string_view symbol) {
  for (const std::string_view prefix :
       {"math.", "nn.", "linalg.", "image.", "bitwise.", "__operators__."}) {
    if (symbol.starts_with(prefix)) {
      symbol.remove_prefix(prefix.size());
      break;
    }
  }
  const auto it = functions().find(symbol);
  return it == functions().end() ? nullptr : &it->second;
}

std::vector<std::string_view> tensorflow_functions() {
  std::vector<std::string_view> names;
  for (const auto& [name, function] : functions()) names.push_back(name);
  return names;
}

std::string tensorflow_symbol(const LayerSpec& layer) {
  if (layer.class_name != "TFOpLambda" && layer.class_name != "SlicingOpLambda") return {};
  const json::value* function = layer.config.if_contains("function");
  return function != nullptr && function->is_string() ? std::string(function->get_string())
                                                      : std::string();
}

void translate_tensorflow_operation(LayerSpec& layer, const std::string& where) {
  const std::string symbol = tensorflow_symbol(layer);
  const ForeignFunction* function = symbol.empty() ? nullptr : tensorflow_function(symbol);
  if (function == nullptr) return;
  std::optional<json::object> common;
  for (CallSpec& call : layer.calls) {
    OperationCall made = translated(*function, call.arguments.at("args").get_array(),
                                    call.arguments.at("kwargs").get_object(), where);
    made.config["name"] = layer.name;
    if (common && *common != made.config) {
      fail_at(where, "it is called several times with different arguments");
    }
    common = std::move(made.config);
    layer.class_name = std::move(made.class_name);
    call.arguments = {{"args", std::move(made.args)}, {"kwargs", json::object{}}};
  }
  if (!common) return;
  layer.config = std::move(*common);
  layer.operation = true;
  layer.identity = {{"module", operation_module(layer.class_name)},
                    {"registered_name", layer.class_name}};
}

}  // namespace kerf::layers
