#include "layers/python/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>

#include "layers/backend_functions.h"
#include "layers/python/arithmetic.h"
#include "layers/python/bound.h"
#include "layers/snake_case.h"
#include "layers/tensorflow_operations.h"

namespace kerf::layers::python {
namespace {

namespace json = boost::json;
using Names = std::map<std::string_view, std::string_view>;

std::optional<std::string_view> look_up(const Names& names, std::string_view name) {
  const auto it = names.find(name);
  return it == names.end() ? std::nullopt : std::optional(it->second);
}

// Functions of keras.ops whose arguments stand in another order than an operation has them.
const std::vector<std::string_view>* reordered(std::string_view name) {
  static const std::map<std::string_view, std::vector<std::string_view>> kOrders{
      {"pad", {"x", "pad_width", "mode", "constant_values"}},
      {"einsum", {"subscripts", "*operands"}}};
  const auto it = kOrders.find(name);
  return it == kOrders.end() ? nullptr : &it->second;
}

// Classes of operations by the names of their functions.
const LayerDefinition* operation_of(std::string_view function) {
  static const auto kOperations = [] {
    std::map<std::string, const LayerDefinition*, std::less<>> found;
    for (const LayerDefinition* definition : Registry::instance().definitions(true)) {
      found.emplace(snake_case(definition->class_name), definition);
    }
    const auto also = [&](const char* name, const char* class_name) {
      found.insert_or_assign(name, Registry::instance().find(class_name, true));
    };
    also("relu", "Relu");
    also("swish", "Silu");
    also("hard_swish", "HardSilu");
    also("exponential", "Exp");
    return found;
  }();
  const auto it = kOperations.find(function);
  return it == kOperations.end() ? nullptr : it->second;
}

Value call_operation(Evaluator& evaluator, const std::string& path,
                     const LayerDefinition& operation, std::string_view function,
                     const std::vector<Value>& arguments, const Keywords& keywords) {
  const std::vector<std::string_view>* order = reordered(function);
  const std::vector<std::string_view>& names = order == nullptr ? operation.arguments : *order;
  json::object given;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!names.empty() && names.back().starts_with('*') && i + 1 >= names.size()) {
      json::value& rest = given[names.back()];
      if (!rest.is_array()) rest = json::array{};
      rest.get_array().push_back(evaluator.json_of(arguments[i]));
    } else if (i < names.size()) {
      given[names[i]] = evaluator.json_of(arguments[i]);
    } else {
      evaluator.refuse(fmt::format("it calls {} with {} arguments", path, arguments.size()));
    }
  }
  for (const auto& [name, value] : keywords) {
    // What keras.ops calls x is a list for these.
    const bool list = name == "x" && !names.empty() && names.front() == "xs";
    given[list ? "xs" : name] = evaluator.json_of(value);
  }
  return evaluator.operation(operation.class_name, given);
}

Value call_foreign(Evaluator& evaluator, const ForeignFunction& function, const std::string& path,
                   const std::vector<Value>& arguments, const Keywords& keywords) {
  json::array args;
  for (const Value& value : arguments) args.push_back(evaluator.json_of(value));
  json::object kwargs;
  for (const auto& [name, value] : keywords) kwargs[name] = evaluator.json_of(value);
  return evaluator.operation(translated(
      function, args, kwargs, fmt::format("{}, {}", evaluator.layer().config().where(), path)));
}

// math.sqrt(2) and the like, which give a number for one.
std::optional<double> folded(std::string_view function, double x) {
  static const std::map<std::string_view, double (*)(double)> kFunctions{
      {"sqrt", [](double a) { return std::sqrt(a); }},
      {"exp", [](double a) { return std::exp(a); }},
      {"log", [](double a) { return std::log(a); }},
      {"log2", [](double a) { return std::log2(a); }},
      {"log10", [](double a) { return std::log10(a); }},
      {"sin", [](double a) { return std::sin(a); }},
      {"cos", [](double a) { return std::cos(a); }},
      {"tan", [](double a) { return std::tan(a); }},
      {"tanh", [](double a) { return std::tanh(a); }},
      {"floor", [](double a) { return std::floor(a); }},
      {"ceil", [](double a) { return std::ceil(a); }},
      {"fabs", [](double a) { return std::fabs(a); }},
      {"abs", [](double a) { return std::fabs(a); }},
      {"square", [](double a) { return a * a; }},
      {"radians", [](double a) { return a * std::numbers::pi / 180; }},
      {"float32", [](double a) { return static_cast<double>(static_cast<float>(a)); }},
      {"float64", [](double a) { return a; }}};
  const auto it = kFunctions.find(function);
  return it == kFunctions.end() ? std::nullopt : std::optional(it->second(x));
}

bool draws(std::string_view path) {
  return path.find("random") != std::string_view::npos || path.find("dropout") != std::string::npos;
}

}  // namespace

std::optional<std::string_view> known_global(std::string_view name) {
  static const Names kNames{{"K", "K"},
                            {"KB", "K"},
                            {"kb", "K"},
                            {"backend", "K"},
                            {"keras_backend", "K"},
                            {"tf", "tf"},
                            {"ktf", "tf"},
                            {"tensorflow", "tf"},
                            {"keras", "keras"},
                            {"np", "np"},
                            {"numpy", "np"},
                            {"math", "math"},
                            {"ops", "ops"},
                            {"kops", "ops"},
                            {"activations", "ops"}};
  if (const auto path = look_up(kNames, name)) return path;
  static const std::vector<std::string_view> kBuiltins{"abs",   "bool",  "float", "int", "len",
                                                       "list",  "max",   "min",   "pow", "print",
                                                       "range", "round", "slice", "sum", "tuple"};
  const auto found = std::ranges::find(kBuiltins, name);
  return found == kBuiltins.end() ? std::nullopt : std::optional(*found);
}

std::optional<std::string> bare_function(std::string_view name) {
  if (name == "weight") return std::string(name);
  const std::string path = "ops." + std::string(name);
  const bool known = operation_of(name) != nullptr || find_intrinsic(path) != nullptr;
  return known ? std::optional(path) : std::nullopt;
}

std::optional<std::string_view> known_module(std::string_view root) {
  static const Names kModules{{"tensorflow", "tf"},
                              {"keras", "keras"},
                              {"tf_keras", "keras"},
                              {"numpy", "np"},
                              {"math", "math"}};
  return look_up(kModules, root);
}

std::string canonical(std::string path) {
  static const Names kPaths{{"tf.keras", "keras"},
                            {"tf.python.keras", "keras"},
                            {"tf.python", "tf.python"},
                            {"tf.compat.v1", "tf"},
                            {"tf.compat.v2", "tf"},
                            {"tf.experimental.numpy", "np"},
                            {"keras.backend", "K"},
                            {"K.tf", "tf"},
                            {"K.tensorflow_backend", "K"},
                            {"keras.ops", "ops"},
                            {"keras.src.ops", "ops"},
                            {"keras.activations", "ops"},
                            {"ops.nn", "ops"},
                            {"ops.numpy", "ops"},
                            {"ops.math", "ops"},
                            {"ops.linalg", "ops"},
                            {"ops.core", "ops"}};
  if (const auto other = look_up(kPaths, path)) return std::string(*other);
  return path;
}

std::optional<Value> known_constant(std::string_view path) {
  static const std::map<std::string_view, Value> kConstants{
      {"math.pi", {std::numbers::pi}},
      {"math.e", {std::numbers::e}},
      {"math.inf", {std::numeric_limits<double>::infinity()}},
      {"np.pi", {std::numbers::pi}},
      {"np.e", {std::numbers::e}},
      {"np.inf", {std::numeric_limits<double>::infinity()}},
      {"np.newaxis", {}},
      {"tf.newaxis", {}},
      {"tf.image.ResizeMethod.BILINEAR", {std::string("bilinear")}},
      {"tf.image.ResizeMethod.NEAREST_NEIGHBOR", {std::string("nearest")}},
      {"tf.image.ResizeMethod.BICUBIC", {std::string("bicubic")}},
      {"tf.image.ResizeMethod.LANCZOS3", {std::string("lanczos3")}},
      {"tf.image.ResizeMethod.LANCZOS5", {std::string("lanczos5")}}};
  const auto it = kConstants.find(path);
  return it == kConstants.end() ? std::nullopt : std::optional(it->second);
}

Value call_function(Evaluator& evaluator, const std::string& path,
                    const std::vector<Value>& arguments, const Keywords& keywords) {
  const Intrinsic* intrinsic = find_intrinsic(path);
  if (intrinsic == nullptr) intrinsic = find_image_intrinsic(path);
  if (intrinsic != nullptr) {
    return intrinsic->compute(evaluator,
                              Bound(evaluator, path, arguments, keywords, intrinsic->parameters));
  }
  const std::size_t dot = path.find('.');
  const std::string_view module = std::string_view(path).substr(0, dot);
  const std::string_view name =
      dot == std::string::npos ? std::string_view() : std::string_view(path).substr(dot + 1);
  if ((module == "np" || module == "math") && arguments.size() == 1 && keywords.empty()) {
    if (const auto x = number_of(arguments[0])) {
      if (const auto y = folded(name, *x)) return {*y};
    }
  }
  if (module == "K") {
    if (const ForeignFunction* function = backend_function(name)) {
      return call_foreign(evaluator, *function, path, arguments, keywords);
    }
  } else if (module == "tf") {
    if (const ForeignFunction* function = tensorflow_function(name)) {
      return call_foreign(evaluator, *function, path, arguments, keywords);
    }
  } else if (module == "ops" || module == "np") {
    const std::string_view last = name.starts_with("image.") ? name.substr(6) : name;
    if (const LayerDefinition* operation = operation_of(last)) {
      return call_operation(evaluator, path, *operation, last, arguments, keywords);
    }
  }
  if (draws(path)) evaluator.refuse(fmt::format("it calls {}, which draws random numbers", path));
  evaluator.refuse(fmt::format("it calls {}, which kerf does not know", path));
}

Value call_method(Evaluator& evaluator, const Method& method, const std::vector<Value>& arguments,
                  const Keywords& keywords) {
  const Value& self = *method.self;
  const bool plain = arguments.empty() && keywords.empty();
  if (plain && self.is<TensorValue>() && method.name == "get_shape") {
    return evaluator.shape(self, false);
  }
  if (plain && self.is<Sequence>() && method.name == "as_list") {
    return evaluator.sequence(true, *self.as<Sequence>()->items);
  }
  evaluator.refuse(fmt::format("it calls {}, which kerf does not know", describe({method})));
}

}  // namespace kerf::layers::python
