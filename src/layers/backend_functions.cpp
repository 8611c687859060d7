#include "layers/backend_functions.h"

#include <cmath>
#include <initializer_list>
#include <map>
#include <utility>

namespace kerf::layers {
namespace {

namespace json = boost::json;

void adapt_last_axis(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "axis", -1);
}

void adapt_first_axis(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "axis", 0);
}

void adapt_l2_normalize(Arguments& arguments, std::string&, const std::string& where) {
  if (!arguments.contains("axis")) fail_at(where, "it is called without an axis");
  // Keras 2 bounds the square of the norm by 1e-12, Keras 3 the norm.
  arguments.insert_or_assign("epsilon", 1e-6);
}

void adapt_clip(Arguments& arguments, std::string&, const std::string&) {
  default_to(arguments, "x_min", "-Infinity");
  default_to(arguments, "x_max", "Infinity");
}

const std::map<std::string_view, ForeignFunction>& functions() {
  static const std::map<std::string_view, ForeignFunction> kFunctions = [] {
    std::map<std::string_view, ForeignFunction> table;
    const std::vector<Parameter> x{{"x", "x", false}};
    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"abs", "Absolute"},
             {"cos", "Cos"},
             {"exp", "Exp"},
             {"identity", "StopGradient"},
             {"log", "Log"},
             {"ones_like", "OnesLike"},
             {"round", "Round"},
             {"sigmoid", "Sigmoid"},
             {"sign", "Sign"},
             {"sin", "Sin"},
             {"softplus", "Softplus"},
             {"softsign", "Softsign"},
             {"square", "Square"},
             {"stop_gradient", "StopGradient"},
             {"tanh", "Tanh"},
             {"transpose", "Transpose"},
             {"zeros_like", "ZerosLike"}}) {
      table[name] = {class_name, x};
    }
    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"equal", "Equal"},
             {"not_equal", "NotEqual"},
             {"greater", "Greater"},
             {"greater_equal", "GreaterEqual"},
             {"less", "Less"},
             {"less_equal", "LessEqual"},
             {"maximum", "Maximum"},
             {"minimum", "Minimum"}}) {
      table[name] = {class_name, {{"x", "x1", false}, {"y", "x2", false}}};
    }
    for (const auto& [name, class_name] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"sum", "Sum"},
             {"mean", "Mean"},
             {"max", "Max"},
             {"min", "Min"},
             {"prod", "Prod"},
             {"std", "Std"},
             {"var", "Var"},
             {"any", "Any"},
             {"all", "All"},
             {"logsumexp", "Logsumexp"}}) {
      table[name] = {class_name, {{"x", "x", false}, {"axis", "axis"}, {"keepdims", "keepdims"}}};
    }
    const std::vector<Parameter> x_axis{{"x", "x", false}, {"axis", "axis"}};
    table["argmax"] = {"Argmax", x_axis, adapt_last_axis};
    table["argmin"] = {"Argmin", x_axis, adapt_last_axis};
    table["cumsum"] = {"Cumsum", x_axis, adapt_first_axis};
    table["cumprod"] = {"Cumprod", x_axis, adapt_first_axis};
    table["expand_dims"] = {
        "ExpandDims", {{"x", "x", false}, {"axis", "axis"}, {"dim", "axis"}}, adapt_last_axis};
    table["l2_normalize"] = {"Normalize", x_axis, adapt_l2_normalize};
    table["softmax"] = {"Softmax", x_axis, adapt_last_axis};
    table["squeeze"] = {"Squeeze", x_axis};
    table["concatenate"] = {
        "Concatenate", {{"tensors", "xs", false}, {"axis", "axis"}}, adapt_last_axis};
    table["stack"] = {"Stack", {{"x", "xs", false}, {"axis", "axis"}}, adapt_first_axis};
    table["bias_add"] = {"Add", {{"x", "x1", false}, {"bias", "x2", false}}};
    table["cast"] = {"Cast", {{"x", "x", false}, {"dtype", "dtype"}}};
    table["clip"] = {
        "Clip", {{"x", "x", false}, {"min_value", "x_min"}, {"max_value", "x_max"}}, adapt_clip};
    table["dot"] = {"Dot", {{"x", "x1", false}, {"y", "x2", false}}};
    table["elu"] = {"Elu", {{"x", "x", false}, {"alpha", "alpha"}}};
    table["gather"] = {
        "Take", {{"reference", "x", false}, {"indices", "indices", false}}, adapt_first_axis};
    table["one_hot"] = {"OneHot", {{"indices", "x", false}, {"num_classes", "num_classes"}}};
    table["permute_dimensions"] = {"Transpose", {{"x", "x", false}, {"pattern", "axes"}}};
    table["pow"] = {"Power", {{"x", "x1", false}, {"a", "x2", false}}};
    table["relu"] = {"ReLU",
                     {{"x", "x", false},
                      {"alpha", "negative_slope"},
                      {"max_value", "max_value"},
                      {"threshold", "threshold"}}};
    table["repeat_elements"] = {"Repeat",
                                {{"x", "x", false}, {"rep", "repeats"}, {"axis", "axis"}}};
    table["reverse"] = {"Flip", {{"x", "x", false}, {"axes", "axis"}}};
    table["tile"] = {"Tile", {{"x", "x", false}, {"n", "repeats"}}};
    return table;
  }();
  return kFunctions;
}

}  // namespace

const ForeignFunction* backend_function(std::string_view name) {
  const auto it = functions().find(name);
  return it == functions().end() ? nullptr : &it->second;
}

}  // namespace kerf::layers
