#include <boost/json/array.hpp>
#include <limits>
#include <map>
#include <numbers>
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

// log(exp(a) + exp(b)) from the larger of the two, to the base of e or 2.
void lower_logaddexp(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"}, true);
  const bool two = op.class_name() == "Logaddexp2";
  const ValueId top = op.binary(Binary::Kind::kMaximum, x[0], x[1]);
  const ValueId distance =
      op.unary({Function::kAbs}, op.binary(Binary::Kind::kSubtract, x[0], x[1]));
  const ValueId below = op.unary({Function::kNegative}, distance);
  ValueId more =
      op.unary({Function::kLog1p}, op.unary({two ? Function::kExp2 : Function::kExp}, below));
  if (two) {
    more =
        op.binary(Binary::Kind::kMultiply, more, op.number(std::numbers::log2e, DType::kFloat32));
  }
  // Of two equal infinities the distance is no number.
  const ValueId equal = op.binary(Binary::Kind::kEqual, x[0], x[1]);
  const ValueId one = op.number(two ? 1 : std::numbers::ln2, DType::kFloat32);
  op.output(op.binary(Binary::Kind::kAdd, top, op.select(equal, one, more)));
}

// The length of the vector (a, b), by the ratio of the smaller to the larger.
void lower_hypot(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"}, true);
  const ValueId a = op.unary({Function::kAbs}, x[0]);
  const ValueId b = op.unary({Function::kAbs}, x[1]);
  const ValueId large = op.binary(Binary::Kind::kMaximum, a, b);
  const ValueId ratio =
      op.binary(Binary::Kind::kDivide, op.binary(Binary::Kind::kMinimum, a, b), large);
  const ValueId length =
      op.unary({Function::kSqrt}, op.binary(Binary::Kind::kAdd, op.number(1, DType::kFloat32),
                                            op.unary({Function::kSquare}, ratio)));
  const ValueId zero = op.binary(Binary::Kind::kEqual, large, op.number(0, DType::kFloat32));
  op.output(op.select(zero, large, op.binary(Binary::Kind::kMultiply, large, length)));
}

void lower_heaviside(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  const DType dtype = op.dtype(x[0]);
  const ValueId zero = op.number(0, dtype);
  const ValueId step =
      op.select(op.binary(Binary::Kind::kLess, x[0], zero), zero, op.number(1, dtype));
  op.output(op.select(op.binary(Binary::Kind::kEqual, x[0], zero), x[1], step));
}

// The larger or smaller of two, where a NaN gives way to a number.
void lower_extreme_number(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  const auto kind = op.class_name() == "Fmax" ? Binary::Kind::kMaximum : Binary::Kind::kMinimum;
  const ValueId y = op.binary(kind, x[0], x[1]);
  if (op.dtype(y) != DType::kFloat32) {
    op.output(y);
    return;
  }
  const auto number = [&](ValueId v) { return op.binary(Binary::Kind::kEqual, v, v); };
  op.output(op.select(number(x[0]), op.select(number(x[1]), y, x[0]), x[1]));
}

// The remainder with the sign of the dividend.
void lower_fmod(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"});
  if (op.dtype(x[0]) != DType::kFloat32) op.unsupported("x1", "remainders of integers");
  const ValueId rest = op.binary(Binary::Kind::kModulo, op.unary({Function::kAbs}, x[0]),
                                 op.unary({Function::kAbs}, x[1]));
  const ValueId negative = op.binary(Binary::Kind::kLess, x[0], op.number(0, DType::kFloat32));
  op.output(op.select(negative, op.unary({Function::kNegative}, rest), rest));
}

void lower_isclose(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"}, true);
  const ValueId distance =
      op.unary({Function::kAbs}, op.binary(Binary::Kind::kSubtract, x[0], x[1]));
  const ValueId share = op.binary(Binary::Kind::kMultiply, op.unary({Function::kAbs}, x[1]),
                                  op.number(op.arguments().number("rtol", 1e-5), DType::kFloat32));
  const ValueId bound = op.binary(Binary::Kind::kAdd, share,
                                  op.number(op.arguments().number("atol", 1e-8), DType::kFloat32));
  const ValueId infinity = op.number(std::numeric_limits<double>::infinity(), DType::kFloat32);
  const ValueId finite = op.binary(Binary::Kind::kLess, bound, infinity);
  ValueId close =
      op.binary(Binary::Kind::kAnd, finite, op.binary(Binary::Kind::kLessEqual, distance, bound));
  close = op.binary(Binary::Kind::kOr, close, op.binary(Binary::Kind::kEqual, x[0], x[1]));
  if (op.arguments().boolean("equal_nan", false)) {
    const ValueId both =
        op.binary(Binary::Kind::kAnd, op.binary(Binary::Kind::kNotEqual, x[0], x[0]),
                  op.binary(Binary::Kind::kNotEqual, x[1], x[1]));
    close = op.binary(Binary::Kind::kOr, close, both);
  }
  op.output(close);
}

// Integers bit by bit. Bools are bits.
void lower_bits(Operation& op) {
  const std::string& name = op.class_name();
  std::vector<ValueId> x;
  if (name == "BitwiseInvert" || name == "BitwiseNot") {
    x = {op.tensor("x")};
    if (op.dtype(x[0]) == DType::kBool) {
      op.output(op.ops().append(program::Not{}, {x[0]}));
      return;
    }
    op.output(op.binary(Binary::Kind::kBitXor, x[0], op.number(-1, op.dtype(x[0]))));
    return;
  }
  x = op.promoted({"x", "y"});
  const bool bools = op.dtype(x[0]) == DType::kBool;
  Binary::Kind kind = Binary::Kind::kShiftRight;
  if (name == "BitwiseAnd") kind = bools ? Binary::Kind::kAnd : Binary::Kind::kBitAnd;
  if (name == "BitwiseOr") kind = bools ? Binary::Kind::kOr : Binary::Kind::kBitOr;
  if (name == "BitwiseXor") kind = bools ? Binary::Kind::kNotEqual : Binary::Kind::kBitXor;
  if (name.ends_with("LeftShift")) kind = Binary::Kind::kShiftLeft;
  op.output(op.binary(kind, x[0], x[1]));
}

void lower_ldexp(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x1", "x2"}, true);
  op.output(op.binary(Binary::Kind::kMultiply, x[0], op.unary({Function::kExp2}, x[1])));
}

// The choice of the first condition that holds.
void lower_select(Operation& op) {
  const boost::json::value* conditions = op.arguments().find("condlist");
  const boost::json::array* list = conditions == nullptr ? nullptr : conditions->if_array();
  std::vector<ValueId> choices = op.promoted_list("choicelist");
  if (list == nullptr || list->size() != choices.size()) {
    op.invalid("condlist", "has another length than the choices");
  }
  ValueId y = op.has("default") ? op.cast(op.dtype(choices[0]), op.tensor("default"))
                                : op.number(0, op.dtype(choices[0]));
  for (std::size_t i = choices.size(); i-- > 0;) {
    y = op.select(op.to_bool(op.part("condlist", (*list)[i])), choices[i], y);
  }
  op.output(y);
}

void lower_clip(Operation& op) {
  const std::vector<ValueId> x = op.promoted({"x", "x_min", "x_max"});
  op.output(op.binary(Binary::Kind::kMinimum, op.binary(Binary::Kind::kMaximum, x[0], x[1]), x[2]));
}

void lower_isnan(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  if (op.class_name() == "Isposinf" || op.class_name() == "Isneginf") {
    const double sign = op.class_name() == "Isposinf" ? 1 : -1;
    op.output(
        op.binary(Binary::Kind::kEqual, x,
                  op.number(sign * std::numeric_limits<double>::infinity(), DType::kFloat32)));
    return;
  }
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
  add_operations(registry, {"Logaddexp", "Logaddexp2"}, {"x1", "x2"}, {}, lower_logaddexp);
  add_operations(registry, {"Hypot"}, {"x1", "x2"}, {}, lower_hypot);
  add_operations(registry, {"Heaviside"}, {"x1", "x2"}, {}, lower_heaviside);
  add_operations(registry, {"Fmax", "Fmin"}, {"x1", "x2"}, {}, lower_extreme_number);
  add_operations(registry, {"Fmod"}, {"x1", "x2"}, {}, lower_fmod);
  add_operations(registry, {"Isclose"}, {"x1", "x2", "rtol", "atol"}, {"rtol", "atol", "equal_nan"},
                 lower_isclose);
  add_operations(registry,
                 {"BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseLeftShift", "LeftShift",
                  "BitwiseRightShift", "RightShift", "BitwiseInvert", "BitwiseNot"},
                 {"x", "y"}, {}, lower_bits);
  add_operations(registry, {"Ldexp"}, {"x1", "x2"}, {}, lower_ldexp);
  add_operations(registry, {"Select"}, {"condlist", "choicelist", "default"}, {}, lower_select);
  add_operations(registry, {"Clip"}, {"x"}, {"x_min", "x_max"}, lower_clip);
  add_operations(registry, {"Isnan", "Isinf", "Isfinite", "Isposinf", "Isneginf"}, {"x"}, {},
                 lower_isnan);
}

}  // namespace kerf::layers
