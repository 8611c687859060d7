#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>

#include "kerf/error.h"
#include "layers/python/function_config.h"
#include "layers/python/functions.h"
#include "layers/python/interpreter.h"
#include "layers/user_definitions.h"

// Lambda: a Python function, of which kerf reads what it computes and runs nothing.
namespace kerf::layers {
namespace {

namespace json = boost::json;
using python::Evaluator;
using python::FunctionConfig;
using python::Keywords;
using python::Value;

constexpr auto kAdvice =
    "say what the layer computes by an alias or a plug-in (docs/custom-layers.md), or build the "
    "model from Keras layers";

// A function that stands in the file by its name only, but which is one of Keras or TensorFlow.
std::string path_of(Evaluator& evaluator, const FunctionConfig& function) {
  const auto starts = [&](std::string_view prefix) { return function.module.starts_with(prefix); };
  if (function.module.find("keras.backend") != std::string::npos ||
      function.module.find("keras.src.backend") != std::string::npos) {
    return "K." + function.name;
  }
  if (starts("keras.ops") || starts("keras.src.ops") || starts("keras.src.activations") ||
      starts("keras.activations")) {
    return "ops." + function.name;
  }
  if (starts("tensorflow")) return "tf." + function.name;
  evaluator.refuse(fmt::format(
      "only its name is in the file{}",
      function.module.empty() ? "" : fmt::format(", and its module, {}", function.module)));
}

std::vector<Value> values_of(Evaluator& evaluator, const json::value& list) {
  const Value value = evaluator.from_json(list);
  const auto* sequence = value.as<python::Sequence>();
  return sequence == nullptr ? std::vector<Value>{} : *sequence->items;
}

bool takes(const python::Code& code, std::string_view name) {
  const auto count = static_cast<std::size_t>(code.arguments + code.keyword_only);
  const auto end = code.variables.begin() + static_cast<std::ptrdiff_t>(count);
  return std::find(code.variables.begin(), end, name) != end;
}

// What the user says that the layer computes, under its own name or that of its function.
const python::Expression* alias_of(const LayerCall& call, const FunctionConfig& function) {
  const UserDefinitions* extensions = call.layer().extensions.get();
  if (extensions == nullptr) return nullptr;
  const python::Expression* alias = extensions->function(call.layer().path);
  return alias != nullptr ? alias : extensions->function(function.name);
}

Value computed(Evaluator& evaluator, LayerCall& call, const FunctionConfig& function) {
  const json::value* args = call.arguments().if_contains("args");
  if (args == nullptr || !args->is_array() || args->get_array().empty()) {
    evaluator.refuse("it is called without an input");
  }
  const std::vector<Value> inputs{evaluator.from_json(args->get_array().front())};
  if (const python::Expression* alias = alias_of(call, function)) {
    const json::value* given = call.config().find("arguments");
    const bool named = given != nullptr && given->is_object();
    return apply_expression(evaluator, *alias, inputs.front(),
                            named ? given->get_object() : json::object{});
  }
  Keywords keywords;
  if (const json::value* given = call.config().find("arguments")) {
    const Value value = evaluator.from_json(*given);
    const auto* mapping = value.as<python::Mapping>();
    if (mapping == nullptr) call.config().invalid("arguments", "is no object");
    keywords.insert(mapping->items->begin(), mapping->items->end());
  }
  if (function.code == nullptr) {
    return evaluator.call({python::Name{path_of(evaluator, function)}}, inputs, keywords);
  }
  if (takes(*function.code, "mask") && call.input_count() == 1 && call.has_mask()) {
    keywords.insert_or_assign("mask", Value{python::TensorValue{*call.mask()}});
  }
  const python::Closure closure{.defaults = values_of(evaluator, function.defaults),
                                .free = values_of(evaluator, function.closure)};
  return interpret(evaluator, *function.code, closure, inputs, keywords);
}

// The shape that the layer declares, of a sample or with the batch before it. A shape that Python
// code computes is not looked at.
void check_shape(LayerCall& call, ValueId output) {
  const Config& config = call.config();
  const json::value* declared = config.find("output_shape");
  if (declared == nullptr || !declared->is_array() ||
      config.text("output_shape_type", "raw") != "raw") {
    return;
  }
  const Shape& shape = call.shape(output);
  const json::array& sizes = declared->get_array();
  const bool plain = std::ranges::all_of(
      sizes, [](const json::value& size) { return size.is_null() || size.is_int64(); });
  if (!plain) return;
  const auto fits = [&](std::size_t from) {
    if (sizes.size() + from != shape.rank()) return false;
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const std::int64_t known = shape[from + i];
      if (sizes[i].is_int64() && known != Shape::kUnknown && sizes[i].get_int64() != known &&
          sizes[i].get_int64() != Shape::kUnknown) {
        return false;
      }
    }
    return true;
  };
  if (!fits(1) && !fits(0)) {
    config.invalid("output_shape", fmt::format("does not fit the shape {} that the layer computes",
                                               shape.to_string()));
  }
}

void lower_lambda(LayerCall& call) {
  const FunctionConfig function = python::read_function(call.config(), "function");
  if (call.config().has("mask")) {
    call.config().unsupported("mask", "it computes a mask by a Python function");
  }
  Evaluator evaluator(call);
  std::vector<ValueId> outputs;
  try {
    const Value result = computed(evaluator, call, function);
    if (const auto* several = result.as<python::Sequence>()) {
      for (const Value& value : *several->items) outputs.push_back(evaluator.tensor(value));
    } else {
      outputs.push_back(evaluator.tensor(result));
    }
    if (outputs.empty()) evaluator.refuse("it returns nothing");
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kUnsupported) throw;
    throw Error(error.code(),
                fmt::format("kerf cannot read its Python function '{}' as operations: {}; {}",
                            function.name, error.message(), kAdvice),
                error.where());
  }
  if (outputs.size() == 1) check_shape(call, outputs.front());
  for (const ValueId output : outputs) call.output(output);
}

}  // namespace

void register_lambda(Registry& registry);
void register_lambda(Registry& registry) {
  registry.add(
      {.class_name = "Lambda",
       .lower = lower_lambda,
       .refuses = {{"mask", "a function"}},
       .note = "its Python code is read as data and never run: see docs/custom-layers.md"});
}

}  // namespace kerf::layers
