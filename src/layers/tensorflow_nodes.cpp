#include "layers/tensorflow_nodes.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <charconv>
#include <initializer_list>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kerf/error.h"
#include "layers/base64.h"
#include "layers/foreign_function.h"
#include "layers/operation.h"

namespace kerf::layers {
namespace {

namespace json = boost::json;

[[noreturn]] void invalid_at(const std::string& where, std::string message) {
  throw Error(ErrorCode::kInvalidFile, std::move(message), where);
}

// A NodeDef as Protocol Buffers write it in JSON.
class Node {
 public:
  Node(json::object node, std::string where) : node_(std::move(node)), where_(std::move(where)) {}

  const std::string& where() const noexcept { return where_; }

  std::string operation() const {
    const json::value* op = node_.if_contains("op");
    return op != nullptr && op->is_string() ? std::string(op->get_string()) : std::string();
  }
  bool flag(std::string_view name) const {
    const json::value* value = attribute(name, "b");
    return value != nullptr && value->is_bool() && value->get_bool();
  }
  // Integers are texts there.
  std::int64_t integer(std::string_view name, std::int64_t fallback) const {
    const json::value* value = attribute(name, "i");
    return value == nullptr ? fallback : integer_of(*value);
  }
  double number(std::string_view name, double fallback) const {
    const json::value* value = attribute(name, "f");
    return value != nullptr && value->is_number() ? value->to_number<double>() : fallback;
  }
  std::string text(std::string_view name) const {
    const json::value* value = attribute(name, "s");
    return value != nullptr && value->is_string() ? from_base64(value->get_string())
                                                  : std::string();
  }
  std::string type(std::string_view name) const {
    static const std::map<std::string_view, const char*> kTypes{
        {"DT_FLOAT", "float32"},     {"DT_DOUBLE", "float64"}, {"DT_HALF", "float16"},
        {"DT_BFLOAT16", "bfloat16"}, {"DT_INT32", "int32"},    {"DT_INT64", "int64"},
        {"DT_UINT8", "uint8"},       {"DT_INT8", "int8"},      {"DT_INT16", "int16"},
        {"DT_BOOL", "bool"}};
    const json::value* value = attribute(name, "type");
    const std::string_view written =
        value != nullptr && value->is_string() ? std::string_view(value->get_string()) : "";
    const auto it = kTypes.find(written);
    if (it == kTypes.end()) fail_at(where_, fmt::format("it is of the type '{}'", written));
    return it->second;
  }
  json::array integers(std::string_view name) const {
    json::array result;
    const json::value* list = attribute(name, "list");
    const json::value* items =
        list != nullptr && list->is_object() ? list->get_object().if_contains("i") : nullptr;
    if (items == nullptr || !items->is_array()) return result;
    for (const json::value& item : items->get_array()) result.push_back(integer_of(item));
    return result;
  }

 private:
  const json::value* attribute(std::string_view name, std::string_view kind) const {
    const json::value* all = node_.if_contains("attr");
    const json::value* one =
        all != nullptr && all->is_object() ? all->get_object().if_contains(name) : nullptr;
    return one != nullptr && one->is_object() ? one->get_object().if_contains(kind) : nullptr;
  }
  std::int64_t integer_of(const json::value& value) const {
    if (value.is_int64()) return value.get_int64();
    std::int64_t number = 0;
    const std::string_view text =
        value.is_string() ? std::string_view(value.get_string()) : std::string_view("none");
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
      invalid_at(where_, "an attribute of its node is no integer");
    }
    return number;
  }

  json::object node_;
  std::string where_;
};

// The operands of a node, constants in their places.
class Operands {
 public:
  Operands(std::vector<json::value> values, const Node& node)
      : values_(std::move(values)), node_(node) {}

  std::size_t size() const noexcept { return values_.size(); }
  const json::value& at(std::size_t i) const {
    if (i >= values_.size()) {
      invalid_at(node_.where(), fmt::format("its node has no operand {}", i));
    }
    return values_[i];
  }
  // A constant operand.
  const json::value& constant(std::size_t i) const {
    const json::value& value = at(i);
    if (value.is_object()) {
      fail_at(node_.where(),
              fmt::format("operand {} of {} is computed by another layer", i, node_.operation()));
    }
    return value;
  }
  std::int64_t integer(std::size_t i) const {
    const json::value* value = &constant(i);
    if (value->is_array() && value->get_array().size() == 1) value = &value->get_array().front();
    if (!value->is_int64()) {
      fail_at(node_.where(), fmt::format("operand {} of {} is no integer", i, node_.operation()));
    }
    return value->get_int64();
  }
  json::array integers(std::size_t i) const {
    const json::value& value = constant(i);
    if (value.is_array()) return value.get_array();
    json::array alone;
    alone.push_back(value);
    return alone;
  }
  json::array list(std::size_t from, std::size_t to) const {
    json::array result;
    for (std::size_t i = from; i < to; ++i) result.push_back(at(i));
    return result;
  }

 private:
  std::vector<json::value> values_;
  const Node& node_;
};

OperationCall made(std::string_view class_name, std::initializer_list<json::value> args,
                   json::object config = {}) {
  OperationCall call{
      .class_name = std::string(class_name), .config = std::move(config), .args = {}};
  for (const json::value& arg : args) call.args.push_back(arg);
  return call;
}

OperationCall with_list(std::string_view class_name, json::array list, json::object config) {
  OperationCall call{
      .class_name = std::string(class_name), .config = std::move(config), .args = {}};
  call.args.push_back(json::value(std::move(list)));
  return call;
}

using Pairs = std::map<std::string_view, std::string_view>;

const Pairs& unary_classes() {
  static const Pairs kClasses{{"Abs", "Absolute"},
                              {"Acos", "Arccos"},
                              {"Asin", "Arcsin"},
                              {"Atan", "Arctan"},
                              {"Ceil", "Ceil"},
                              {"Cos", "Cos"},
                              {"Cosh", "Cosh"},
                              {"Elu", "Elu"},
                              {"Erf", "Erf"},
                              {"Exp", "Exp"},
                              {"Expm1", "Expm1"},
                              {"Floor", "Floor"},
                              {"Identity", "StopGradient"},
                              {"Inv", "Reciprocal"},
                              {"IsFinite", "Isfinite"},
                              {"IsInf", "Isinf"},
                              {"IsNan", "Isnan"},
                              {"Log", "Log"},
                              {"Log1p", "Log1p"},
                              {"LogSoftmax", "LogSoftmax"},
                              {"LogicalNot", "LogicalNot"},
                              {"Neg", "Negative"},
                              {"OnesLike", "OnesLike"},
                              {"Reciprocal", "Reciprocal"},
                              {"Relu", "Relu"},
                              {"Relu6", "Relu6"},
                              {"Round", "Round"},
                              {"Rsqrt", "Rsqrt"},
                              {"Selu", "Selu"},
                              {"Sigmoid", "Sigmoid"},
                              {"Sign", "Sign"},
                              {"Sin", "Sin"},
                              {"Sinh", "Sinh"},
                              {"Softmax", "Softmax"},
                              {"Softplus", "Softplus"},
                              {"Softsign", "Softsign"},
                              {"Sqrt", "Sqrt"},
                              {"Square", "Square"},
                              {"StopGradient", "StopGradient"},
                              {"Tan", "Tan"},
                              {"Tanh", "Tanh"},
                              {"ZerosLike", "ZerosLike"}};
  return kClasses;
}

const Pairs& binary_classes() {
  static const Pairs kClasses{{"Add", "Add"},
                              {"AddV2", "Add"},
                              {"Atan2", "Arctan2"},
                              {"BiasAdd", "Add"},
                              {"Div", "TrueDivide"},
                              {"DivNoNan", "DivideNoNan"},
                              {"Equal", "Equal"},
                              {"FloorDiv", "FloorDivide"},
                              {"FloorMod", "Mod"},
                              {"Greater", "Greater"},
                              {"GreaterEqual", "GreaterEqual"},
                              {"Less", "Less"},
                              {"LessEqual", "LessEqual"},
                              {"LogicalAnd", "LogicalAnd"},
                              {"LogicalOr", "LogicalOr"},
                              {"Maximum", "Maximum"},
                              {"Minimum", "Minimum"},
                              {"Mul", "Multiply"},
                              {"NotEqual", "NotEqual"},
                              {"Pow", "Power"},
                              {"RealDiv", "TrueDivide"},
                              {"Sub", "Subtract"}};
  return kClasses;
}

const Pairs& reductions() {
  static const Pairs kClasses{{"All", "All"}, {"Any", "Any"},   {"Max", "Max"}, {"Mean", "Mean"},
                              {"Min", "Min"}, {"Prod", "Prod"}, {"Sum", "Sum"}};
  return kClasses;
}

OperationCall strided_slice(const Node& node, const Operands& operands) {
  const json::array begin = operands.integers(1);
  const json::array end = operands.integers(2);
  const json::array strides = operands.integers(3);
  if (begin.size() != end.size() || begin.size() != strides.size() || begin.size() > 32) {
    invalid_at(node.where(), "its slice has bounds of unequal number");
  }
  const auto set = [&](std::string_view mask, std::size_t i) {
    return (node.integer(mask, 0) >> i & 1) != 0;
  };
  json::array key;
  for (std::size_t i = 0; i < begin.size(); ++i) {
    if (set("ellipsis_mask", i)) {
      key.push_back(json::object{{"class_name", "__ellipsis__"}, {"config", json::object{}}});
    } else if (set("new_axis_mask", i)) {
      key.push_back(nullptr);
    } else if (set("shrink_axis_mask", i)) {
      key.push_back(begin[i]);
    } else {
      key.push_back(json::object{
          {"class_name", "__slice__"},
          {"config", json::object{{"start", set("begin_mask", i) ? json::value() : begin[i]},
                                  {"stop", set("end_mask", i) ? json::value() : end[i]},
                                  {"step", strides[i]}}}});
    }
  }
  return made("GetItem", {operands.at(0), json::value(std::move(key))});
}

OperationCall product(const Operands& operands, bool a, bool b) {
  if (!a && !b) return made("Matmul", {operands.at(0), operands.at(1)});
  return made(
      "Einsum", {operands.at(0), operands.at(1)},
      {{"subscripts", fmt::format("...{},...{}->...ik", a ? "ji" : "ij", b ? "kj" : "jk")}});
}

// The places of the cuts between parts of these sizes.
json::array cuts_of(const Node& node, const json::array& sizes) {
  json::array cuts;
  std::int64_t at = 0;
  for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
    constexpr std::int64_t kMost = std::int64_t{1} << 31;
    if (!sizes[i].is_int64() || sizes[i].get_int64() < 0 || sizes[i].get_int64() > kMost) {
      fail_at(node.where(), "the size of a part is not given");
    }
    cuts.push_back(at += sizes[i].get_int64());
  }
  return cuts;
}

OperationCall resize(const Node& node, const Operands& operands, const char* interpolation) {
  if (!node.flag("half_pixel_centers") || node.flag("align_corners")) {
    fail_at(node.where(), "it resizes images as TensorFlow 1 did");
  }
  return made("Resize", {operands.at(0)},
              {{"size", operands.integers(1)},
               {"interpolation", interpolation},
               {"data_format", "channels_last"}});
}

// Nothing for an operation that kerf does not know.
std::optional<OperationCall> translate(const Node& node, const Operands& x) {
  const std::string op = node.operation();
  if (const auto it = unary_classes().find(op); it != unary_classes().end()) {
    return made(it->second, {x.at(0)});
  }
  if (const auto it = binary_classes().find(op); it != binary_classes().end()) {
    return made(it->second, {x.at(0), x.at(1)});
  }
  if (const auto it = reductions().find(op); it != reductions().end()) {
    return made(it->second, {x.at(0)},
                {{"axis", x.constant(1)}, {"keepdims", node.flag("keep_dims")}});
  }
  if (op == "Reshape") return made("Reshape", {x.at(0)}, {{"newshape", x.integers(1)}});
  if (op == "Transpose") return made("Transpose", {x.at(0)}, {{"axes", x.integers(1)}});
  if (op == "ExpandDims") return made("ExpandDims", {x.at(0)}, {{"axis", x.integer(1)}});
  if (op == "Squeeze") {
    json::array axes = node.integers("squeeze_dims");
    if (axes.empty()) return made("Squeeze", {x.at(0)});
    return made("Squeeze", {x.at(0)}, {{"axis", std::move(axes)}});
  }
  if (op == "Tile") return made("Tile", {x.at(0)}, {{"repeats", x.integers(1)}});
  if (op == "ConcatV2" && x.size() > 0) {
    return with_list("Concatenate", x.list(0, x.size() - 1), {{"axis", x.integer(x.size() - 1)}});
  }
  if (op == "Pack") {
    return with_list("Stack", x.list(0, x.size()), {{"axis", node.integer("axis", 0)}});
  }
  if (op == "Unpack") return made("Unstack", {x.at(0)}, {{"axis", node.integer("axis", 0)}});
  if (op == "Split") {
    return made("Split", {x.at(1)},
                {{"indices_or_sections", node.integer("num_split", 1)}, {"axis", x.integer(0)}});
  }
  if (op == "SplitV") {
    return made("Split", {x.at(0)},
                {{"indices_or_sections", cuts_of(node, x.integers(1))}, {"axis", x.integer(2)}});
  }
  if (op == "Pad" || op == "PadV2") {
    const json::value fill = op == "PadV2" ? x.constant(2) : json::value(0.0);
    return made("Pad", {x.at(0), fill}, {{"pad_width", x.constant(1)}, {"mode", "constant"}});
  }
  if (op == "StridedSlice") return strided_slice(node, x);
  if (op == "Slice") {
    return made("Slice", {x.at(0), json::value(x.integers(1))}, {{"shape", x.integers(2)}});
  }
  if (op == "GatherV2" || op == "Gather") {
    if (node.integer("batch_dims", 0) != 0) fail_at(node.where(), "it gathers sample by sample");
    return made("Take", {x.at(0), x.at(1)}, {{"axis", op == "Gather" ? 0 : x.integer(2)}});
  }
  if (op == "OneHot") {
    return made("OneHot", {x.at(0)},
                {{"num_classes", x.integer(1)}, {"axis", node.integer("axis", -1)}});
  }
  if (op == "Cast") return made("Cast", {x.at(0)}, {{"dtype", node.type("DstT")}});
  if (op == "ArgMax" || op == "ArgMin") {
    return made(op == "ArgMax" ? "Argmax" : "Argmin", {x.at(0)}, {{"axis", x.integer(1)}});
  }
  if (op == "MatMul") return product(x, node.flag("transpose_a"), node.flag("transpose_b"));
  if (op == "BatchMatMul" || op == "BatchMatMulV2") {
    return product(x, node.flag("adj_x"), node.flag("adj_y"));
  }
  if (op == "Einsum") {
    OperationCall call = made("Einsum", {}, {{"subscripts", node.text("equation")}});
    call.args = x.list(0, x.size());
    return call;
  }
  if (op == "Select" || op == "SelectV2") return made("Where", {x.at(0), x.at(1), x.at(2)});
  if (op == "ClipByValue") {
    return made("Clip", {x.at(0)}, {{"x_min", x.constant(1)}, {"x_max", x.constant(2)}});
  }
  if (op == "LeakyRelu") {
    return made("LeakyRelu", {x.at(0)}, {{"negative_slope", node.number("alpha", 0.2)}});
  }
  if (op == "ReverseV2") return made("Flip", {x.at(0)}, {{"axis", x.integers(1)}});
  if (op == "Cumsum" || op == "Cumprod") {
    if (node.flag("exclusive") || node.flag("reverse")) fail_at(node.where(), "it sums backwards");
    return made(op, {x.at(0)}, {{"axis", x.integer(1)}});
  }
  if (op == "BroadcastTo") return made("BroadcastTo", {x.at(0)}, {{"shape", x.integers(1)}});
  if (op == "ResizeBilinear") return resize(node, x, "bilinear");
  if (op == "ResizeNearestNeighbor") return resize(node, x, "nearest");
  return std::nullopt;
}

std::optional<Node> node_of(const LayerSpec& layer, const std::string& where) {
  const json::value* written = layer.config.if_contains("node_def");
  if (written == nullptr) return std::nullopt;
  if (written->is_object()) return Node(written->get_object(), where);
  if (!written->is_string()) return std::nullopt;
  boost::system::error_code error;
  const json::value parsed = json::parse(std::string_view(written->get_string()), error);
  if (error || !parsed.is_object()) return std::nullopt;
  return Node(parsed.get_object(), where);
}

std::vector<json::value> operands_of(const LayerSpec& layer, const CallSpec& call,
                                     const std::string& where) {
  json::array tensors;
  const json::value& first = call.arguments.at("args").get_array().at(0);
  if (first.is_array()) {
    tensors = first.get_array();
  } else {
    tensors.push_back(first);
  }
  const json::value* held = layer.config.if_contains("constants");
  const json::object none;
  const json::object& constants = held != nullptr && held->is_object() ? held->get_object() : none;
  std::vector<json::value> operands;
  std::size_t next = 0;
  for (std::size_t i = 0; i < tensors.size() + constants.size(); ++i) {
    if (const json::value* constant = constants.if_contains(std::to_string(i))) {
      operands.push_back(*constant);
    } else if (next < tensors.size()) {
      operands.push_back(tensors[next++]);
    } else {
      invalid_at(where, "its constants stand in places that it does not have");
    }
  }
  return operands;
}

}  // namespace

std::string tensorflow_node_operation(const LayerSpec& layer) {
  if (layer.class_name != "TensorFlowOpLayer") return {};
  const auto node = node_of(layer, layer.name);
  return node ? node->operation() : std::string();
}

void translate_tensorflow_node(LayerSpec& layer, const std::string& where) {
  if (layer.class_name != "TensorFlowOpLayer") return;
  const auto node = node_of(layer, where);
  if (!node) fail_at(where, "the node of TensorFlow that it holds is not written in JSON");
  std::optional<OperationCall> common;
  for (CallSpec& call : layer.calls) {
    const Operands operands(operands_of(layer, call, where), *node);
    auto known = translate(*node, operands);
    if (!known) return;
    call.arguments = {{"args", known->args}, {"kwargs", json::object{}}};
    common = std::move(known);
  }
  if (!common) return;
  layer.class_name = common->class_name;
  common->config["name"] = layer.name;
  layer.config = std::move(common->config);
  layer.operation = true;
  layer.identity = {{"module", operation_module(layer.class_name)},
                    {"registered_name", layer.class_name}};
}

}  // namespace kerf::layers
