#include "layers/user_definitions.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>
#include <utility>

#include "kerf/error.h"
#include "layers/base_call.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;
using python::Evaluator;
using python::Expression;
using python::Value;

std::string text_of(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// "Name" of "pkg>Name".
std::string_view bare(std::string_view name) { return name.substr(name.rfind('>') + 1); }

// By the whole name; else by what stands behind the package, which old files do not have.
template <typename T>
const T* look_up(const std::map<std::string, T, std::less<>>& map, std::string_view name) {
  const auto it = map.find(name);
  if (it != map.end()) return &it->second;
  for (const auto& [key, value] : map) {
    const bool either = key.find('>') == std::string::npos || name.find('>') == std::string::npos;
    if (either && bare(key) == bare(name)) return &value;
  }
  return nullptr;
}

// A call under another class and configuration; everything else is the call's own.
class RenamedCall final : public LayerCall {
 public:
  RenamedCall(LayerCall& call, const graph::Layer& layer)
      : call_(call), layer_(layer), config_(layer.config, call.config().where()) {}

  const graph::Layer& layer() const override { return layer_; }
  const Config& config() const override { return config_; }
  program::ProgramBuilder& ops() override { return call_.ops(); }
  std::size_t input_count() const override { return call_.input_count(); }
  ValueId input(std::size_t i) override { return call_.input(i); }
  std::optional<ValueId> mask(std::size_t i) override { return call_.mask(i); }
  bool has_mask(std::size_t i) const override { return call_.has_mask(i); }
  std::vector<std::size_t> argument(std::string_view name, std::size_t position) const override {
    return call_.argument(name, position);
  }
  const json::object& arguments() const override { return call_.arguments(); }
  ValueId argument_tensor(std::size_t i) override { return call_.argument_tensor(i); }
  std::optional<ValueId> argument_mask(std::size_t i) override { return call_.argument_mask(i); }
  ValueId weight(std::string name, const Shape& shape, bool trainable) override {
    return call_.weight(std::move(name), shape, trainable);
  }
  ValueId derived(std::string_view name, std::vector<ValueId> weights, const Shape& shape,
                  const Derivation& make, double parameter) override {
    return call_.derived(name, std::move(weights), shape, make, parameter);
  }
  ValueId made(std::string_view name, const program::ValueType& type,
               const std::function<Tensor()>& make) override {
    return call_.made(name, type, make);
  }
  void part(std::string path, std::string name) override {
    call_.part(std::move(path), std::move(name));
  }
  void output(ValueId value, std::optional<ValueId> mask) override { call_.output(value, mask); }
  void output_passing_mask(ValueId value, std::size_t from_input) override {
    call_.output_passing_mask(value, from_input);
  }

 private:
  LayerCall& call_;
  const graph::Layer& layer_;
  Config config_;
};

Expression::Names names_in(Evaluator& evaluator, const json::object& config) {
  return [&evaluator, &config](std::string_view name) -> std::optional<Value> {
    const json::value* value = config.if_contains(name);
    return value == nullptr ? std::nullopt : std::optional(evaluator.from_json(*value));
  };
}

void lower_renamed(LayerCall& call, const LayerDefinition& known,
                   const Expression::PlainCall& meaning) {
  graph::Layer layer{.path = call.layer().path,
                     .class_name = known.class_name,
                     .operation = false,
                     .config = call.layer().config,
                     .keras_major = call.layer().keras_major,
                     .keras_minor = call.layer().keras_minor,
                     .identity = {},
                     .weights = {},
                     .parts = {},
                     .extensions = call.layer().extensions};
  Evaluator evaluator(call);
  for (const auto& [key, expression] : meaning.keywords) {
    const Value value = expression.evaluate(evaluator, names_in(evaluator, call.layer().config));
    if (value.is<python::TensorValue>())
      evaluator.refuse("an alias configures a layer by a tensor");
    layer.config[key] = evaluator.json_of(value);
  }
  RenamedCall renamed(call, layer);
  known.lower(renamed);
}

void lower_expression(LayerCall& call, const Expression& expression) {
  Evaluator evaluator(call);
  const json::value* args = call.arguments().if_contains("args");
  if (args == nullptr || !args->is_array() || args->get_array().empty()) {
    evaluator.refuse("it is called without an input");
  }
  json::object names = call.layer().config;
  names["args"] = *args;
  const json::value* kwargs = call.arguments().if_contains("kwargs");
  if (kwargs != nullptr && kwargs->is_object()) {
    for (const auto& entry : kwargs->get_object()) names[entry.key()] = entry.value();
  }
  const Value result = apply_expression(evaluator, expression,
                                        evaluator.from_json(args->get_array().front()), names);
  const auto* several = result.as<python::Sequence>();
  if (several == nullptr) {
    call.output(evaluator.tensor(result), {});
    return;
  }
  for (const Value& value : *several->items) call.output(evaluator.tensor(value), {});
}

}  // namespace

void UserDefinitions::add_alias(std::string name, std::string_view meaning) {
  if (name.empty()) throw Error(ErrorCode::kInvalidArgument, "an alias has no name");
  Expression expression = Expression::parse(meaning);
  const auto plain = expression.plain_call();
  LayerDefinition definition{.class_name = name, .lower = {}};
  if (plain && plain->function.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 0) {
    const LayerDefinition* known = Registry::instance().find(plain->function, false);
    if (known == nullptr) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the alias '{}' means {}, which is no class that kerf knows", name,
                              plain->function));
    }
    definition.lower = [known, meaning = *plain](LayerCall& call) {
      lower_renamed(call, *known, meaning);
    };
  } else {
    functions_.insert_or_assign(name, expression);
    definition.lower = [expression = std::move(expression)](LayerCall& call) {
      lower_expression(call, expression);
    };
  }
  add_layer(std::move(definition));
}

void UserDefinitions::add_layer(LayerDefinition definition) {
  const std::string name = definition.class_name;
  if (!layers_.emplace(name, std::move(definition)).second) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("'{}' is defined twice, by aliases or plug-ins", name));
  }
}

const LayerDefinition* UserDefinitions::layer(std::string_view name) const {
  return look_up(layers_, name);
}

const Expression* UserDefinitions::function(std::string_view name) const {
  return look_up(functions_, name);
}

bool is_custom(const json::object& object, const std::string& class_name) {
  const std::string module = text_of(object, "module");
  const auto starts = [&](std::string_view prefix) { return module.starts_with(prefix); };
  const bool foreign = !module.empty() && !starts("keras") && !starts("tf_keras") &&
                       !starts("tensorflow.keras") && !starts("tensorflow.python.keras");
  return foreign || starts("keras_") || class_name.find('>') != std::string::npos ||
         text_of(object, "registered_name").find('>') != std::string::npos;
}

const LayerDefinition* find_definition(const std::string& class_name, bool operation,
                                       const json::object& identity,
                                       const UserDefinitions* extensions) {
  const bool custom = !operation && is_custom(identity, class_name);
  const LayerDefinition* known =
      custom ? nullptr : Registry::instance().find(class_name, operation);
  if (known != nullptr || operation || extensions == nullptr) return known;
  const std::string registered = text_of(identity, "registered_name");
  const LayerDefinition* extended = nullptr;
  if (!registered.empty()) extended = extensions->layer(registered);
  return extended != nullptr ? extended : extensions->layer(class_name);
}

Value apply_expression(Evaluator& evaluator, const Expression& expression, const Value& x,
                       const json::object& names) {
  const Expression::Names others = names_in(evaluator, names);
  return expression.evaluate(evaluator, [&](std::string_view name) -> std::optional<Value> {
    if (name == "x" || name == "inputs") return x;
    return others(name);
  });
}

}  // namespace kerf::layers
