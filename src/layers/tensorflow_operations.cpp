#include "layers/tensorflow_operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <cctype>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kerf/error.h"
#include "layers/operation.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;

// A parameter of a function in TensorFlow, and of the operation. Options stand in the
// configuration of the operation, others in its call.
struct Parameter {
  std::string_view theirs;
  std::string_view ours;
  bool option = true;
};

// An argument by the operation's name.
using Arguments = std::map<std::string, json::value, std::less<>>;
// Adapts what is more than another name. `fail` throws.
using Adapt = void (*)(Arguments& arguments, std::string& class_name, const std::string& where);

struct Function {
  std::string_view class_name;
  std::vector<Parameter> parameters;  // the first is the one that is given by position
  Adapt adapt = nullptr;
};

[[noreturn]] void fail(const std::string& where, std::string message) {
  throw Error(ErrorCode::kUnsupported, std::move(message), where);
}

bool is_true(const Arguments& arguments, std::string_view name) {
  const auto it = arguments.find(name);
  return it != arguments.end() && it->second.is_bool() && it->second.get_bool();
}

// Arguments that TensorFlow gives another default than Keras.
void default_to(Arguments& arguments, const char* name, json::value value) {
  arguments.try_emplace(name, std::move(value));
}

// Drops an argument that changes nothing; another value is refused.
void require(Arguments& arguments, std::string_view name, double neutral,
             const std::string& where) {
  const auto it = arguments.find(name);
  if (it == arguments.end()) return;
  const json::value& value = it->second;
  if (!value.is_number() || value.to_number<double>() != neutral) {
    fail(where, fmt::format("its argument {} is not {:g}", name, neutral));
  }
  arguments.erase(it);
}

void adapt_first_axis(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "axis", 0);
}

void adapt_gather(Arguments& arguments, std::string&, const std::string& where) {
  default_to(arguments, "axis", 0);
  require(arguments, "batch_dims", 0, where);
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
  if (!arguments.contains("axis")) fail(where, "it is called without an axis");
  // TensorFlow bounds the square of the norm, Keras the norm.
  double epsilon = 1e-12;
  const auto it = arguments.find("epsilon");
  if (it != arguments.end() && it->second.is_number()) epsilon = it->second.to_number<double>();
  arguments.insert_or_assign("epsilon", std::sqrt(epsilon));
}

void adapt_matmul(Arguments& arguments, std::string& class_name, const std::string& where) {
  for (const char* name : {"a_is_sparse", "b_is_sparse"}) {
    if (is_true(arguments, name)) fail(where, "it multiplies sparse matrices");
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
      fail(where, "the size of a part is not given");
    }
    cuts.push_back(at += size.get_int64());
  }
  it->second = std::move(cuts);
}

void adapt_pad(Arguments& arguments, std::string&, const std::string& where) {
  default_to(arguments, "mode", "constant");
  json::value& mode = arguments.find("mode")->second;
  if (!mode.is_string()) fail(where, "its mode is no string");
  std::string text(mode.get_string());
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  mode = text;
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
  if (it == arguments.end()) fail(where, "it is called without a slice_spec");
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

const std::map<std::string_view, Function>& functions() {
  static const std::map<std::string_view, Function> kFunctions = [] {
    std::map<std::string_view, Function> table;
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
                     {{"input_tensor", "x", false}, {"axis", "axis"}, {"keepdims", "keepdims"}}};
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
    table["getitem"] = {
        "GetItem", {{"tensor", "x", false}, {"slice_spec", "key", false}}, adapt_getitem};
    return table;
  }();
  return kFunctions;
}

const Function* find_function(std::string_view symbol) {
  for (const std::string_view prefix : {"math.", "nn.", "linalg.", "__operators__."}) {
    if (symbol.starts_with(prefix)) {
      symbol.remove_prefix(prefix.size());
      break;
    }
  }
  const auto it = functions().find(symbol);
  return it == functions().end() ? nullptr : &it->second;
}

Arguments named(const Function& function, const CallSpec& call, const std::string& where) {
  Arguments arguments;
  const json::array& args = call.arguments.at("args").get_array();
  if (args.size() != 1) fail(where, "it is called with other than one argument by position");
  arguments.emplace(function.parameters.front().ours, args.front());
  for (const auto& entry : call.arguments.at("kwargs").get_object()) {
    const auto parameter =
        std::ranges::find(function.parameters, std::string_view(entry.key()), &Parameter::theirs);
    if (entry.value().is_null()) continue;
    if (parameter != function.parameters.end()) {
      arguments.emplace(parameter->ours, entry.value());
    } else if (entry.key() != "name" && entry.value() != json::value(false)) {
      fail(where, fmt::format("kerf does not know its argument {}", std::string_view(entry.key())));
    }
  }
  return arguments;
}

}  // namespace

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
  const Function* function = symbol.empty() ? nullptr : find_function(symbol);
  if (function == nullptr) return;
  std::optional<json::object> common;
  for (CallSpec& call : layer.calls) {
    Arguments arguments = named(*function, call, where);
    std::string class_name(function->class_name);
    if (function->adapt != nullptr) function->adapt(arguments, class_name, where);
    json::object config{{"name", layer.name}};
    json::array args;
    for (const Parameter& parameter : function->parameters) {
      const auto it = arguments.find(parameter.ours);
      if (parameter.option) continue;
      args.push_back(it == arguments.end() ? json::value(nullptr) : it->second);
      if (it != arguments.end()) arguments.erase(it);
    }
    while (!args.empty() && args.back().is_null()) args.pop_back();
    for (auto& [name, value] : arguments) config[name] = std::move(value);
    if (common && *common != config) {
      fail(where, "it is called several times with different arguments");
    }
    common = std::move(config);
    layer.class_name = class_name;
    call.arguments = {{"args", std::move(args)}, {"kwargs", json::object{}}};
  }
  if (!common) return;
  layer.config = std::move(*common);
  layer.operation = true;
  layer.identity = {{"module", operation_module(layer.class_name)},
                    {"registered_name", layer.class_name}};
}

}  // namespace kerf::layers
