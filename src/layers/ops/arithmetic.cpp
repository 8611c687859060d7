#include <limits>
#include <map>
#include <string_view>

#include "layers/operation.h"

// Operations of two or three tensors, element by element.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;

Binary::Kind kind_of(std::string_view class_name) {
  static const std::map<std::string_view, Binary::Kind> kKinds{
      {"Add", Binary::Kind::kAdd},
      {"Subtract", Binary::Kind::kSubtract},
      {"Multiply", Binary::Kind::kMultiply},
      {"Maximum", Binary::Kind::kMaximum},
      {"Minimum", Binary::Kind::kMinimum},
      {"Power", Binary::Kind::kPower},
      {"FloorDivide", Binary::Kind::kFloorDivide},
      {"Mod", Binary::Kind::kModulo},
      {"Equal", Binary::Kind::kEqual},
      {"NotEqual", Binary::Kind::kNotEqual},
      {"Greater", Binary::Kind::kGreater},
      {"GreaterEqual", Binary::Kind::kGreaterEqual},
      {"Less", Binary::Kind::kLess},
      {"LessEqual", Binary::Kind::kLessEqual},
      {"LogicalAnd", Binary::Kind::kAnd},
      {"LogicalOr", Binary::Kind::kOr},
      // Of bools.
      {"LogicalXor", Binary::Kind::kNotEqual}};
  return kKinds.at(class_name);
}

void lower_arithmetic(Operation& op) {
  const Binary::Kind kind = kind_of(op.class_name());
  std::vector<ValueId> x = op.promoted({"x1", "x2"});
  // Sums, products and extremes of bools are bools, as in NumPy; the rest counts with them.
  const bool bools = op.dtype(x[0]) == DType::kBool;
  const bool kept = kind == Binary::Kind::kAdd || kind == Binary::Kind::kMultiply ||
                    kind == Binary::Kind::kMaximum || kind == Binary::Kind::kMinimum;
  if (bools && !kept) {
    for (ValueId& operand : x) operand = op.cast(DType::kInt32, operand);
  }
  op.output(op.binary(kind, x[0], x[1]));
}

void lower_power(Operation& op) {
  const auto exponent = op.literal("x2");
  const bool square = exponent && exponent->shape().rank() == 0 &&
                      exponent->cast(DType::kFloat32).as<float>()[0] == 2;
  if (square) {
    const ValueId x = op.promoted({"x1", "x2"}).front();
    if (op.dtype(x) == DType::kFloat32) {
      op.output(op.unary({Function::kSquare}, x));
      return;
    }
  }
  lower_arithmetic(op);
}

void lower_divide(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"}, true);
  const ValueId quotient = op.binary(Binary::Kind::kDivide, x[0], x[1]);
  if (op.class_name() != "DivideNoNan") {
    op.output(quotient);
    return;
  }
  const ValueId zero = op.number(0, DType::kFloat32);
  const ValueId defined = op.binary(Binary::Kind::kNotEqual, x[1], zero);
  op.output(op.ops().append(program::Select{}, {defined, quotient, zero}));
}

void lower_arctan2(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"}, true);
  op.output(op.binary(Binary::Kind::kArctan2, x[0], x[1]));
}

void lower_comparison(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  op.output(op.binary(kind_of(op.class_name()), x[0], x[1]));
}

void lower_logic(Operation& op) {
  const ValueId a = op.to_bool(op.tensor("x1"));
  const ValueId b = op.to_bool(op.tensor("x2"));
  op.output(op.binary(kind_of(op.class_name()), a, b));
}

void lower_not(Operation& op) {
  op.output(op.ops().append(program::Not{}, {op.to_bool(op.tensor("x"))}));
}

void lower_where(Operation& op) {
  const ValueId condition = op.to_bool(op.tensor("condition"));
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  op.output(op.ops().append(program::Select{}, {condition, x[0], x[1]}));
}

void lower_clip(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x", "x_min", "x_max"});
  op.output(op.binary(Binary::Kind::kMinimum, op.binary(Binary::Kind::kMaximum, x[0], x[1]), x[2]));
}

void lower_isnan(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  if (op.class_name() == "Isnan") {
    op.output(op.binary(Binary::Kind::kNotEqual, x, x));
    return;
  }
  const ValueId infinity = op.number(std::numeric_limits<double>::infinity(), DType::kFloat32);
  const bool finite = op.class_name() == "Isfinite";
  op.output(op.binary(finite ? Binary::Kind::kLess : Binary::Kind::kEqual,
                      op.unary({Function::kAbs}, x), infinity));
}

}  // namespace

void register_arithmetic(Registry& registry);
void register_arithmetic(Registry& registry) {
  add_operations(registry,
                 {"Add", "Subtract", "Multiply", "Maximum", "Minimum", "FloorDivide", "Mod"},
                 {"x1", "x2"}, {}, lower_arithmetic);
  add_operations(registry, {"Power"}, {"x1", "x2"}, {}, lower_power);
  add_operations(registry, {"TrueDivide", "Divide", "DivideNoNan"}, {"x1", "x2"}, {}, lower_divide);
  add_operations(registry, {"Arctan2"}, {"x1", "x2"}, {}, lower_arctan2);
  add_operations(registry, {"Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual"},
                 {"x1", "x2"}, {}, lower_comparison);
  add_operations(registry, {"LogicalAnd", "LogicalOr", "LogicalXor"}, {"x1", "x2"}, {},
                 lower_logic);
  add_operations(registry, {"LogicalNot"}, {"x"}, {}, lower_not);
  add_operations(registry, {"Where"}, {"condition", "x1", "x2"}, {}, lower_where);
  add_operations(registry, {"Clip"}, {"x"}, {"x_min", "x_max"}, lower_clip);
  add_operations(registry, {"Isnan", "Isinf", "Isfinite"}, {"x"}, {}, lower_isnan);
}

}  // namespace kerf::layers
