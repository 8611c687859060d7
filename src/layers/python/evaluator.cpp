#include "layers/python/evaluator.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "kerf/error.h"
#include "layers/base_call.h"
#include "layers/operation.h"
#include "layers/python/arithmetic.h"
#include "layers/python/functions.h"

namespace kerf::layers::python {
namespace {

namespace json = boost::json;

// Lists in lists, doubled again and again, would grow without end.
constexpr std::size_t kMostItems = 4096;
constexpr int kDeepest = 16;

// The call of an operation inside the call of the layer.
class InnerCall final : public BaseCall {
 public:
  InnerCall(LayerCall& whole, const std::vector<ValueId>& tensors, const graph::Layer& layer,
            const json::object& arguments)
      : BaseCall(layer, arguments, whole.ops()), tensors_(tensors) {}

  ValueId argument_tensor(std::size_t i) override { return tensors_.at(i); }
  ValueId weight(std::string, const Shape&, bool) override { refuse(); }
  ValueId derived(std::string_view, std::vector<ValueId>, const Shape&, const Derivation&,
                  double) override {
    refuse();
  }
  ValueId made(std::string_view, const program::ValueType&,
               const std::function<Tensor()>&) override {
    refuse();
  }
  void part(std::string, std::string) override { refuse(); }

 protected:
  bool travels(std::size_t) const override { return false; }
  ValueId travelling_mask(std::size_t) override { refuse(); }

 private:
  [[noreturn]] static void refuse() {
    throw Error(ErrorCode::kInternal, "an operation has neither weights nor masks");
  }
  const std::vector<ValueId>& tensors_;
};

std::string_view class_of(BinaryOperator op) {
  switch (op) {
    case BinaryOperator::kAdd:
      return "Add";
    case BinaryOperator::kAnd:
      return "LogicalAnd";
    case BinaryOperator::kFloorDivide:
      return "FloorDivide";
    case BinaryOperator::kMatrixMultiply:
      return "Matmul";
    case BinaryOperator::kMultiply:
      return "Multiply";
    case BinaryOperator::kRemainder:
      return "Mod";
    case BinaryOperator::kOr:
      return "LogicalOr";
    case BinaryOperator::kPower:
      return "Power";
    case BinaryOperator::kSubtract:
      return "Subtract";
    case BinaryOperator::kDivide:
    case BinaryOperator::kOldDivide:
      return "TrueDivide";
    case BinaryOperator::kXor:
      return "LogicalXor";
    case BinaryOperator::kLeftShift:
    case BinaryOperator::kRightShift:
      break;
  }
  return {};
}

std::string_view class_of(Comparison comparison) {
  switch (comparison) {
    case Comparison::kLess:
      return "Less";
    case Comparison::kLessEqual:
      return "LessEqual";
    case Comparison::kEqual:
      return "Equal";
    case Comparison::kNotEqual:
      return "NotEqual";
    case Comparison::kGreater:
      return "Greater";
    case Comparison::kGreaterEqual:
      return "GreaterEqual";
    default:
      return {};
  }
}

bool holds_tensor(const Value& value) {
  if (value.is<TensorValue>()) return true;
  const auto* sequence = value.as<Sequence>();
  return sequence != nullptr && std::ranges::any_of(*sequence->items, holds_tensor);
}

// a:b:c of a sequence, as Python counts.
std::vector<Value> sliced(const std::vector<Value>& items, std::optional<std::int64_t> start,
                          std::optional<std::int64_t> stop, std::int64_t step) {
  const auto size = static_cast<std::int64_t>(items.size());
  const auto bound = [&](std::optional<std::int64_t> given, std::int64_t absent) {
    if (!given) return absent;
    const std::int64_t low = step > 0 ? 0 : -1;
    const std::int64_t high = step > 0 ? size : size - 1;
    const std::int64_t at = *given < 0 ? std::max(*given, -size - 1) + size : *given;
    return std::clamp(at, low, high);
  };
  const std::int64_t first = bound(start, step > 0 ? 0 : size - 1);
  const std::int64_t last = bound(stop, step > 0 ? size : -1);
  std::vector<Value> result;
  step = std::clamp(step, -size - 1, size + 1);
  for (std::int64_t i = first; step > 0 ? i < last : i > last; i += step) {
    result.push_back(items[static_cast<std::size_t>(i)]);
  }
  return result;
}

}  // namespace

std::string describe(const Value& value) {
  struct Visitor {
    std::string operator()(NoneValue) const { return "None"; }
    std::string operator()(EllipsisValue) const { return "..."; }
    std::string operator()(NullValue) const { return "nothing"; }
    std::string operator()(bool flag) const { return flag ? "True" : "False"; }
    std::string operator()(std::int64_t number) const {
      return fmt::format("the number {}", number);
    }
    std::string operator()(double number) const { return fmt::format("the number {}", number); }
    std::string operator()(const std::string& text) const {
      return fmt::format("the text '{:.60}'", text);
    }
    std::string operator()(TensorValue) const { return "a tensor"; }
    std::string operator()(Dimension) const { return "a size that only a request knows"; }
    std::string operator()(const Name& name) const { return name.path; }
    std::string operator()(const Method& method) const {
      return fmt::format("the method {} of {}", method.name, describe(*method.self));
    }
    std::string operator()(const Sequence& sequence) const {
      return sequence.list ? "a list" : "a tuple";
    }
    std::string operator()(const Mapping&) const { return "a dictionary"; }
    std::string operator()(const SliceValue&) const { return "a slice"; }
  };
  return std::visit(Visitor{}, value.data);
}

void Evaluator::refuse(std::string message) const {
  throw Error(ErrorCode::kUnsupported, std::move(message), call_.config().where());
}

Value Evaluator::global(std::string_view name) const {
  // Python 2 looks these up like any name.
  if (name == "None") return {};
  if (name == "True" || name == "False") return {name == "True"};
  if (const auto path = known_global(name)) return {Name{std::string(*path)}};
  refuse(fmt::format("it reads the name '{}', which is not in the file", name));
}

Value Evaluator::import(std::string_view module, bool whole) {
  const auto root = known_module(module.substr(0, module.find('.')));
  if (!root) refuse(fmt::format("it imports the module '{}'", module));
  Value value{Name{std::string(*root)}};
  for (auto dot = module.find('.'); whole && dot != std::string_view::npos;
       dot = module.find('.')) {
    module.remove_prefix(dot + 1);
    value = attribute(value, module.substr(0, module.find('.')));
  }
  return value;
}

Value Evaluator::attribute(const Value& value, std::string_view name) {
  if (const auto* module = value.as<Name>()) {
    const std::string path = canonical(module->path + "." + std::string(name));
    if (const auto constant = known_constant(path)) return {*constant};
    return {Name{path}};
  }
  if (value.is<TensorValue>()) {
    const ValueId id = value.as<TensorValue>()->id;
    if (name == "dtype") return {std::string(dtype_name(call_.type(id).dtype))};
    if (name == "ndim") return {static_cast<std::int64_t>(call_.shape(id).rank())};
    if (name == "shape" || name == "_keras_shape") {
      return shape(value, false);
    }
    return {Method{std::make_shared<const Value>(value), std::string(name)}};
  }
  if (const auto* sequence = value.as<Sequence>()) {
    if (name == "ndims" || name == "rank") {
      return {static_cast<std::int64_t>(sequence->items->size())};
    }
    if (name == "dims") return value;
  }
  // The sizes in a shape of TensorFlow 1 were objects.
  if (name == "value" && (value.is<std::int64_t>() || value.is<NoneValue>())) return value;
  if (value.is<NullValue>()) refuse("it is not what a compiler makes");
  return {Method{std::make_shared<const Value>(value), std::string(name)}};
}

Value Evaluator::call(const Value& function, const std::vector<Value>& arguments,
                      const Keywords& keywords) {
  constexpr std::size_t kMostInstructions = 200'000;
  if (call_.ops().peek().instructions.size() > kMostInstructions) {
    refuse("it makes too many operations");
  }
  if (const auto* method = function.as<Method>()) {
    return call_method(*this, *method, arguments, keywords);
  }
  const auto* name = function.as<Name>();
  if (name == nullptr) refuse(fmt::format("it calls {}", describe(function)));
  return call_function(*this, name->path, arguments, keywords);
}

Value Evaluator::binary(BinaryOperator op, const Value& a, const Value& b) {
  if (const auto folded = folded_binary(op, a, b)) return *folded;
  const auto* left = a.as<Sequence>();
  const auto* right = b.as<Sequence>();
  if (!a.is<TensorValue>() && !b.is<TensorValue>()) {
    if (op == BinaryOperator::kAdd && left != nullptr && right != nullptr &&
        left->list == right->list) {
      std::vector<Value> items = *left->items;
      items.insert(items.end(), right->items->begin(), right->items->end());
      return sequence(left->list, std::move(items));
    }
    const auto* times = b.as<std::int64_t>();
    if (op == BinaryOperator::kMultiply && left != nullptr && times != nullptr) {
      std::vector<Value> items;
      if (*times > static_cast<std::int64_t>(kMostItems)) refuse("a list is too long");
      for (std::int64_t i = 0; i < *times; ++i) {
        items.insert(items.end(), left->items->begin(), left->items->end());
        if (items.size() > kMostItems) refuse("a list is too long");
      }
      return sequence(left->list, std::move(items));
    }
    if (!holds_tensor(a) && !holds_tensor(b)) {
      refuse(fmt::format("it computes with {} and {}", describe(a), describe(b)));
    }
  }
  std::string_view name = class_of(op);
  if (name.empty()) refuse("it shifts a tensor bit by bit");
  // Python 2 divides integers as integers.
  const auto integers = [&](const Value& value) {
    return value.is<std::int64_t>() ||
           (value.is<TensorValue>() && !is_floating(call_.type(value.as<TensorValue>()->id).dtype));
  };
  if (op == BinaryOperator::kOldDivide && integers(a) && integers(b)) name = "FloorDivide";
  const bool logic = name.starts_with("Logical");
  const auto is_bool = [&](const Value& value) {
    return value.is<bool>() || (value.is<TensorValue>() &&
                                call_.type(value.as<TensorValue>()->id).dtype == DType::kBool);
  };
  if (logic && !(is_bool(a) && is_bool(b))) refuse("it combines the bits of numbers");
  return operation(name, {{"x1", json_of(a)}, {"x2", json_of(b)}});
}

Value Evaluator::compare(Comparison comparison, const Value& a, const Value& b) {
  if (comparison == Comparison::kIs || comparison == Comparison::kIsNot) {
    bool same = false;
    if (b.is<NoneValue>() || a.is<NoneValue>()) {
      same = a.is<NoneValue>() && b.is<NoneValue>();
    } else if (a.is<bool>() && b.is<bool>()) {
      same = *a.as<bool>() == *b.as<bool>();
    } else {
      refuse("it asks whether two things are one");
    }
    return {same == (comparison == Comparison::kIs)};
  }
  if (const auto folded = folded_comparison(comparison, a, b)) return {*folded};
  if (comparison == Comparison::kIn || comparison == Comparison::kNotIn) {
    const auto* items = b.as<Sequence>();
    if (items == nullptr || holds_tensor(a) || holds_tensor(b)) {
      refuse("it looks for something in a tensor");
    }
    const bool found = std::ranges::any_of(*items->items, [&](const Value& item) {
      return folded_comparison(Comparison::kEqual, a, item).value_or(false);
    });
    return {found == (comparison == Comparison::kIn)};
  }
  if (!holds_tensor(a) && !holds_tensor(b)) {
    refuse(fmt::format("it compares {} with {}", describe(a), describe(b)));
  }
  return operation(class_of(comparison), {{"x1", json_of(a)}, {"x2", json_of(b)}});
}

Value Evaluator::negative(const Value& x) {
  if (x.is<bool>() || x.is<std::int64_t>() || x.is<double>()) {
    return binary(BinaryOperator::kSubtract, {std::int64_t{0}}, x);
  }
  if (!holds_tensor(x)) refuse(fmt::format("it negates {}", describe(x)));
  return operation("Negative", {{"x", json_of(x)}});
}

Value Evaluator::positive(const Value& x) const {
  const bool fits = x.is<std::int64_t>() || x.is<double>() || x.is<TensorValue>();
  if (!fits) refuse(fmt::format("it puts a + before {}", describe(x)));
  return x;
}

Value Evaluator::inverted(const Value& x) {
  if (const auto* number = x.as<std::int64_t>()) return {~*number};
  const bool bools =
      x.is<TensorValue>() && call_.type(x.as<TensorValue>()->id).dtype == DType::kBool;
  if (!bools) refuse(fmt::format("it inverts the bits of {}", describe(x)));
  return operation("LogicalNot", {{"x", json_of(x)}});
}

Value Evaluator::subscript(const Value& x, const Value& key) {
  if (x.is<TensorValue>()) {
    json::value items = json_of(key);
    const auto* sequence = key.as<Sequence>();
    if (sequence == nullptr || sequence->list) {
      json::array alone;
      alone.push_back(std::move(items));
      items = std::move(alone);
    }
    return operation("GetItem", {{"x", json_of(x)}, {"key", std::move(items)}});
  }
  if (const auto* mapping = x.as<Mapping>()) {
    const auto* text = key.as<std::string>();
    const auto found = text == nullptr ? mapping->items->end() : mapping->items->find(*text);
    if (found == mapping->items->end()) {
      refuse(fmt::format("it looks up {} in a dictionary without it", describe(key)));
    }
    return found->second;
  }
  const auto* sequence = x.as<Sequence>();
  if (sequence == nullptr) refuse(fmt::format("it takes a part of {}", describe(x)));
  if (const auto* range = key.as<SliceValue>()) {
    const auto bound = [&](const Value& value) -> std::optional<std::int64_t> {
      if (value.is<NoneValue>()) return std::nullopt;
      return integer(value, "a bound of a slice");
    };
    const std::int64_t step = bound((*range->bounds)[2]).value_or(1);
    if (step == 0) refuse("a slice has the step 0");
    return this->sequence(sequence->list, sliced(*sequence->items, bound((*range->bounds)[0]),
                                                 bound((*range->bounds)[1]), step));
  }
  const auto size = static_cast<std::int64_t>(sequence->items->size());
  const std::int64_t index = integer(key, "an index");
  if (index >= size || index < -size) {
    refuse(fmt::format("it takes item {} of {}", index, size));
  }
  return (*sequence->items)[static_cast<std::size_t>(index < 0 ? index + size : index)];
}

bool Evaluator::truth(const Value& x) const {
  if (x.is<NoneValue>()) return false;
  if (const auto* flag = x.as<bool>()) return *flag;
  if (const auto* number = x.as<std::int64_t>()) return *number != 0;
  if (const auto* number = x.as<double>()) return *number != 0;
  if (const auto* text = x.as<std::string>()) return !text->empty();
  if (const auto* sequence = x.as<Sequence>()) return !sequence->items->empty();
  if (const auto* mapping = x.as<Mapping>()) return !mapping->items->empty();
  if (x.is<Name>()) return true;
  refuse(fmt::format("what it computes depends on {}, by a branch", describe(x)));
}

std::vector<Value> Evaluator::unpacked(const Value& x, std::size_t count) const {
  const auto* sequence = x.as<Sequence>();
  if (sequence == nullptr) {
    refuse(fmt::format("it unpacks {} into {} variables", describe(x), count));
  }
  if (sequence->items->size() != count) {
    refuse(fmt::format("it unpacks {} items into {} variables", sequence->items->size(), count));
  }
  return *sequence->items;
}

Value Evaluator::sequence(bool list, std::vector<Value> items) const {
  std::size_t weight = 1;
  for (const Value& item : items) {
    const auto* inner = item.as<Sequence>();
    weight += inner == nullptr ? 1 : inner->weight;
  }
  if (weight > kMostItems) refuse("a list is too long");
  return {Sequence{list, std::make_shared<const std::vector<Value>>(std::move(items)), weight}};
}

Value Evaluator::mapping(std::map<std::string, Value> items) {
  return {Mapping{std::make_shared<const std::map<std::string, Value>>(std::move(items))}};
}

Value Evaluator::slice(Value start, Value stop, Value step) {
  return {SliceValue{std::make_shared<const std::array<Value, 3>>(
      std::array{std::move(start), std::move(stop), std::move(step)})}};
}

Value Evaluator::from_json(const json::value& value, int depth) {
  if (depth > kDeepest) refuse("a list is nested too deeply");
  if (value.is_null()) return {};
  if (value.is_bool()) return {value.get_bool()};
  if (value.is_int64()) return {value.get_int64()};
  if (value.is_number()) return {value.to_number<double>()};
  if (value.is_string()) {
    const std::string text(value.get_string());
    if (text == "NaN") return {std::numeric_limits<double>::quiet_NaN()};
    if (text == "Infinity") return {std::numeric_limits<double>::infinity()};
    if (text == "-Infinity") return {-std::numeric_limits<double>::infinity()};
    return {text};
  }
  const auto list = [&](const json::array& array, bool is_list) {
    std::vector<Value> items;
    for (const json::value& item : array) items.push_back(from_json(item, depth + 1));
    return sequence(is_list, std::move(items));
  };
  if (const json::array* array = value.if_array()) return list(*array, true);
  const json::object& object = value.get_object();
  if (const json::value* index = object.if_contains("tensor");
      index != nullptr && object.size() == 1 && index->is_number()) {
    return {TensorValue{call_.argument_tensor(index->to_number<std::size_t>())}};
  }
  const auto text_of = [&](const char* key) -> std::string_view {
    const json::value* text = object.if_contains(key);
    return text != nullptr && text->is_string() ? std::string_view(text->get_string()) : "";
  };
  if (text_of("class_name") == "__tuple__") {
    const json::value* items = object.if_contains("items");
    if (items != nullptr && items->is_array()) return list(items->get_array(), false);
  }
  // An array: of Keras 3, or {"type": "ndarray", "value": [...]} of Keras 2.
  const json::value* config = object.if_contains("config");
  const bool array3 = text_of("class_name") == "__numpy__" || text_of("class_name") == "__tensor__";
  if (array3 && config != nullptr && config->is_object()) {
    if (const json::value* inner = config->get_object().if_contains("value")) {
      return from_json(*inner, depth + 1);
    }
  }
  if (text_of("type") == "ndarray" && object.contains("value")) {
    return from_json(object.at("value"), depth + 1);
  }
  if (object.contains("class_name")) {
    refuse(fmt::format("it is given an object of the class {}", text_of("class_name")));
  }
  std::map<std::string, Value> items;
  for (const auto& entry : object) {
    items.emplace(std::string(entry.key()), from_json(entry.value(), depth + 1));
  }
  return mapping(std::move(items));
}

Value Evaluator::from_object(const Object& object, int depth) const {
  if (depth > kDeepest) refuse("a constant is nested too deeply");
  switch (object.kind) {
    case Object::Kind::kNone:
      return {};
    case Object::Kind::kEllipsis:
      return {EllipsisValue{}};
    case Object::Kind::kBool:
      return {object.integer != 0};
    case Object::Kind::kInteger:
      return {object.integer};
    case Object::Kind::kFloat:
      return {object.number};
    case Object::Kind::kText:
      return {object.text};
    case Object::Kind::kTuple:
    case Object::Kind::kList: {
      // Parts may be shared: what they hold together is counted, not what is in the file.
      std::vector<Value> items;
      std::size_t weight = 0;
      for (const auto& item : object.items) {
        items.push_back(from_object(*item, depth + 1));
        const auto* inner = items.back().as<Sequence>();
        weight += inner == nullptr ? 1 : inner->weight;
        if (weight > kMostItems) refuse("a constant is too long");
      }
      return sequence(object.kind == Object::Kind::kList, std::move(items));
    }
    case Object::Kind::kSlice:
      return slice(from_object(*object.items[0], depth + 1),
                   from_object(*object.items[1], depth + 1),
                   from_object(*object.items[2], depth + 1));
    case Object::Kind::kCode:
      refuse("it holds a function of its own, as a loop in brackets does");
    case Object::Kind::kOther:
      refuse(fmt::format("it holds {}", object.text));
  }
  return {};
}

Value Evaluator::operation(std::string_view class_name, const json::object& arguments) {
  return operation({.class_name = std::string(class_name), .config = arguments, .args = {}});
}

Value Evaluator::operation(const OperationCall& call) {
  const std::string& class_name = call.class_name;
  const LayerDefinition* definition = Registry::instance().find(class_name, true);
  if (definition == nullptr) refuse(fmt::format("kerf does not know the operation {}", class_name));
  // In a graph Keras ignores the method; called from Python it does not.
  const json::value* method = call.config.if_contains("method");
  if (class_name == "Quantile" && method != nullptr && *method != "linear") {
    refuse("it takes quantiles by another method than linear");
  }
  const graph::Layer& whole = call_.layer();
  const graph::Layer layer{.path = whole.path,
                           .class_name = class_name,
                           .operation = true,
                           .config = call.config,
                           .keras_major = whole.keras_major,
                           .keras_minor = whole.keras_minor,
                           .identity = {},
                           .weights = {},
                           .parts = {}};
  const json::object given{{"args", call.args}, {"kwargs", json::object{}}};
  InnerCall inner(call_, tensors_, layer, given);
  try {
    definition->lower(inner);
  } catch (const Error& error) {
    const std::string& where = call_.config().where();
    throw Error(error.code(), fmt::format("{}: {}", class_name, error.message()), where);
  }
  std::vector<Value> results;
  std::vector<ValueId> ids;
  for (const BaseCall::Output& output : inner.outputs()) {
    results.push_back({TensorValue{output.value}});
    ids.push_back(output.value);
  }
  call_.operated(call, tensors_, ids);
  const bool several = class_name == "Split" || class_name == "Unstack" || results.size() != 1;
  return several ? sequence(true, std::move(results)) : results.front();
}

json::value Evaluator::json_of(const Value& value) {
  struct Visitor {
    Evaluator& self;
    json::value operator()(NoneValue) const { return nullptr; }
    json::value operator()(NullValue) const { return nullptr; }
    json::value operator()(EllipsisValue) const {
      return json::object{{"class_name", "__ellipsis__"}, {"config", json::object{}}};
    }
    json::value operator()(bool flag) const { return flag; }
    json::value operator()(std::int64_t number) const { return number; }
    json::value operator()(double number) const {
      if (std::isnan(number)) return "NaN";
      if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
      return number;
    }
    json::value operator()(const std::string& text) const { return json::string(text); }
    json::value operator()(TensorValue tensor) const {
      self.tensors_.push_back(tensor.id);
      return json::object{{"tensor", self.tensors_.size() - 1}};
    }
    json::value operator()(Dimension dimension) const { self.refuse_open(dimension); }
    json::value operator()(const Name& name) const {
      const std::string last = name.path.substr(name.path.rfind('.') + 1);
      if (name.path.find('.') != std::string::npos && dtype_from_name(last)) {
        return json::string(last);
      }
      self.refuse(fmt::format("it hands {} to a function", name.path));
    }
    json::value operator()(const Method& method) const {
      self.refuse(fmt::format("it uses {}", describe({method})));
    }
    json::value operator()(const Sequence& sequence) const {
      json::array items;
      for (const Value& item : *sequence.items) items.push_back(self.json_of(item));
      return items;
    }
    json::value operator()(const Mapping& mapping) const {
      self.refuse(fmt::format("it computes with {}", describe({mapping})));
    }
    json::value operator()(const SliceValue& slice) const {
      json::object config;
      std::size_t i = 0;
      for (const char* name : {"start", "stop", "step"}) {
        config[name] = self.json_of((*slice.bounds)[i++]);
      }
      return json::object{{"class_name", "__slice__"}, {"config", std::move(config)}};
    }
  };
  return std::visit(Visitor{*this}, value.data);
}

void Evaluator::refuse_open(const Dimension& dimension) const {
  refuse(
      fmt::format("it computes with the size of axis {} of a tensor of shape {}, which only a "
                  "request knows",
                  dimension.axis, call_.shape(dimension.tensor).to_string()));
}

ValueId Evaluator::tensor(const Value& value) {
  if (const auto* known = value.as<TensorValue>()) return known->id;
  const Value made = operation("ConvertToTensor", {{"x", json_of(value)}});
  return made.as<TensorValue>()->id;
}

std::int64_t Evaluator::integer(const Value& value, std::string_view what) const {
  if (const auto* number = value.as<std::int64_t>()) return *number;
  if (const auto* flag = value.as<bool>()) return *flag ? 1 : 0;
  if (const auto* open = value.as<Dimension>()) refuse_open(*open);
  refuse(fmt::format("{} is {}", what, describe(value)));
}

double Evaluator::number(const Value& value, std::string_view what) const {
  if (const auto* decimal = value.as<double>()) return *decimal;
  return static_cast<double>(integer(value, what));
}

Value Evaluator::shape(const Value& x, bool open) {
  const ValueId id = tensor(x);
  std::vector<Value> sizes;
  const Shape& shape = call_.shape(id);
  for (std::size_t i = 0; i < shape.rank(); ++i) {
    if (shape[i] != Shape::kUnknown) {
      sizes.push_back({shape[i]});
    } else if (open) {
      sizes.push_back({Dimension{id, i}});
    } else {
      sizes.push_back({});
    }
  }
  return sequence(false, std::move(sizes));
}

}  // namespace kerf::layers::python
