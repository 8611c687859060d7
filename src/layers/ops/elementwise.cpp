#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <string_view>

#include "layers/operation.h"

// Functions of each element alone.
namespace kerf::layers {
namespace {

using program::Activation;
using program::Binary;
using program::Function;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

const std::map<std::string_view, Activation>& functions() {
  static const std::map<std::string_view, Activation> kFunctions{
      {"Exp", {Function::kExp}},
      {"Log", {Function::kLog}},
      {"Log1p", {Function::kLog1p}},
      {"Expm1", {Function::kExpm1}},
      {"Sqrt", {Function::kSqrt}},
      {"Rsqrt", {Function::kRsqrt}},
      {"Reciprocal", {Function::kReciprocal}},
      {"Erf", {Function::kErf}},
      {"Erfc", {Function::kErfc}},
      {"Erfinv", {Function::kErfinv}},
      {"Cbrt", {Function::kCbrt}},
      {"Exp2", {Function::kExp2}},
      {"Fabs", {Function::kAbs}},
      {"Sin", {Function::kSin}},
      {"Cos", {Function::kCos}},
      {"Tan", {Function::kTan}},
      {"Tanh", {Function::kTanh}},
      {"Sinh", {Function::kSinh}},
      {"Cosh", {Function::kCosh}},
      {"Arcsin", {Function::kArcsin}},
      {"Arccos", {Function::kArccos}},
      {"Arctan", {Function::kArctan}},
      {"Arcsinh", {Function::kArcsinh}},
      {"Arccosh", {Function::kArccosh}},
      {"Arctanh", {Function::kArctanh}},
      {"Floor", {Function::kFloor}},
      {"Ceil", {Function::kCeil}},
      {"Relu", {Function::kRelu, 0, kInfinity, 0}},
      {"Relu6", {Function::kRelu, 0, 6, 0}},
      {"Sigmoid", {Function::kSigmoid}},
      {"Silu", {Function::kSilu}},
      {"Softplus", {Function::kSoftplus}},
      {"Softsign", {Function::kSoftsign}},
      {"Selu", {Function::kSelu}},
      {"HardSigmoid", {Function::kHardSigmoid, 1.0F / 6.0F, 0.5F}},
      {"HardSilu", {Function::kHardSilu}},
      {"LogSigmoid", {Function::kLogSigmoid}},
      {"TanhShrink", {Function::kTanhShrink}},
      {"SparsePlus", {Function::kSparsePlus}},
      {"SparseSigmoid", {Function::kSparseSigmoid}},
      {"HardTanh", {Function::kHardTanh}},
      {"Mish", {Function::kMish}}};
  return kFunctions;
}

void lower_function(Operation& op) {
  op.output(op.unary(functions().at(op.class_name()), op.to_float(op.tensor("x"))));
}

// Those that have a parameter.
void lower_parametric(Operation& op) {
  const std::string& name = op.class_name();
  const Config& given = op.arguments();
  const auto number = [&](std::string_view key, double fallback) {
    return static_cast<float>(given.number(key, fallback));
  };
  Activation function;
  if (name == "LeakyRelu") {
    function = {Function::kRelu, number("negative_slope", 0.2), kInfinity, 0};
  } else if (name == "ReLU") {
    function = {Function::kRelu, number("negative_slope", 0), number("max_value", kInfinity),
                number("threshold", 0)};
  } else if (name == "Elu") {
    function = {Function::kElu, number("alpha", 1)};
  } else if (name == "Celu") {
    function = {Function::kCelu, number("alpha", 1)};
  } else if (name == "Gelu") {
    function = {given.boolean("approximate", true) ? Function::kGeluTanh : Function::kGelu};
  } else if (name == "Squareplus") {
    function = {Function::kSquareplus, number("b", 4)};
  } else if (name == "SoftShrink") {
    function = {Function::kSoftShrink, number("threshold", 0.5)};
  } else if (name == "HardShrink") {
    function = {Function::kHardShrink, number("threshold", 0.5)};
  } else {
    function = {Function::kThreshold, number("threshold", 0), number("default_value", 0)};
  }
  op.output(op.unary(function, op.to_float(op.tensor("x"))));
}

// Those that give integers for integers.
void lower_of_integers(Operation& op) {
  const std::string& name = op.class_name();
  ValueId x = op.tensor("x");
  if (op.dtype(x) == DType::kFloat32) {
    static const std::map<std::string_view, Function> kFunctions{
        {"Negative", Function::kNegative}, {"Absolute", Function::kAbs},
        {"Abs", Function::kAbs},           {"Sign", Function::kSign},
        {"Square", Function::kSquare},     {"Trunc", Function::kTruncate}};
    op.output(op.unary({kFunctions.at(name)}, x));
    return;
  }
  if (op.dtype(x) == DType::kBool && name != "Absolute" && name != "Abs") {
    x = op.cast(DType::kInt32, x);
  }
  const DType dtype = op.dtype(x);
  const ValueId zero = op.number(0, dtype);
  if (name == "Negative") {
    op.output(op.binary(Binary::Kind::kSubtract, zero, x));
  } else if (name == "Square") {
    op.output(op.binary(Binary::Kind::kMultiply, x, x));
  } else if (name == "Sign") {
    const ValueId above = op.cast(dtype, op.binary(Binary::Kind::kGreater, x, zero));
    const ValueId below = op.cast(dtype, op.binary(Binary::Kind::kLess, x, zero));
    op.output(op.binary(Binary::Kind::kSubtract, above, below));
  } else if (name == "Trunc" || dtype == DType::kBool) {
    op.output(x);
  } else {
    op.output(op.binary(Binary::Kind::kMaximum, x, op.binary(Binary::Kind::kSubtract, zero, x)));
  }
}

void lower_round(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::int64_t decimals = op.arguments().integer("decimals", 0);
  if (op.dtype(x) != DType::kFloat32) {
    if (decimals < 0) op.unsupported("decimals", "integers are not rounded to tens");
    op.output(x);
    return;
  }
  if (decimals == 0) {
    op.output(op.unary({Function::kRound}, x));
    return;
  }
  if (decimals < -30 || decimals > 30) op.unsupported("decimals", "it is out of range");
  const ValueId factor = op.number(std::pow(10.0, static_cast<double>(decimals)), DType::kFloat32);
  const ValueId scaled = op.binary(Binary::Kind::kMultiply, x, factor);
  op.output(op.binary(Binary::Kind::kDivide, op.unary({Function::kRound}, scaled), factor));
}

void lower_logarithm(Operation& op) {
  const ValueId log = op.unary({Function::kLog}, op.to_float(op.tensor("x")));
  const double base = op.class_name() == "Log2" ? std::log(2.0) : std::log(10.0);
  op.output(op.binary(Binary::Kind::kMultiply, log, op.number(1 / base, DType::kFloat32)));
}

// Between degrees and radians.
void lower_angle(Operation& op) {
  const double factor =
      op.class_name() == "Deg2rad" ? std::numbers::pi / 180 : 180 / std::numbers::pi;
  op.output(op.binary(Binary::Kind::kMultiply, op.to_float(op.tensor("x")),
                      op.number(factor, DType::kFloat32)));
}

// sin(pi x) / (pi x).
void lower_sinc(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  const ValueId angle =
      op.binary(Binary::Kind::kMultiply, x, op.number(std::numbers::pi, DType::kFloat32));
  const ValueId zero = op.binary(Binary::Kind::kEqual, x, op.number(0, DType::kFloat32));
  op.output(op.select(zero, op.number(1, DType::kFloat32),
                      op.binary(Binary::Kind::kDivide, op.unary({Function::kSin}, angle), angle)));
}

void lower_nan_to_num(Operation& op) {
  const ValueId x = op.tensor("x");
  if (op.dtype(x) != DType::kFloat32) {
    op.output(x);
    return;
  }
  const double most = std::numeric_limits<float>::max();
  const auto replaced = [&](ValueId y, ValueId which, std::string_view name, double fallback) {
    return op.select(which, op.number(op.arguments().number(name, fallback), DType::kFloat32), y);
  };
  const auto is = [&](double value) {
    return op.binary(Binary::Kind::kEqual, x, op.number(value, DType::kFloat32));
  };
  ValueId y = replaced(x, op.binary(Binary::Kind::kNotEqual, x, x), "nan", 0);
  y = replaced(y, is(std::numeric_limits<double>::infinity()), "posinf", most);
  op.output(replaced(y, is(-std::numeric_limits<double>::infinity()), "neginf", -most));
}

void lower_cast(Operation& op) {
  const ValueId x = op.tensor("x");
  const DType to = op.dtype_of("dtype", op.dtype(x));
  op.output(to == DType::kBool ? op.to_bool(x) : op.cast(to, x));
}

// x with every element replaced.
void lower_like(Operation& op) {
  const ValueId x = op.tensor("x");
  const std::string& name = op.class_name();
  const DType dtype = op.dtype_of("dtype", op.dtype(x));
  const ValueId fill = name == "FullLike" ? op.cast(dtype, op.tensor("fill_value"))
                                          : op.number(name == "OnesLike" ? 1 : 0, dtype);
  // Broadcasting gives the shape, a choice that always falls on one side the value.
  const ValueId equal = op.binary(Binary::Kind::kEqual, x, x);
  const ValueId always =
      op.binary(Binary::Kind::kOr, equal, op.ops().append(program::Not{}, {equal}));
  op.output(op.ops().append(program::Select{}, {always, fill, fill}));
}

}  // namespace

void register_elementwise(Registry& registry);
void register_elementwise(Registry& registry) {
  for (const auto& [name, function] : functions()) {
    add_operations(registry, {std::string(name).c_str()}, {"x"}, {}, lower_function);
  }
  add_operations(registry, {"LeakyRelu"}, {"x"}, {"negative_slope"}, lower_parametric);
  add_operations(registry, {"ReLU"}, {"x"}, {"negative_slope", "max_value", "threshold"},
                 lower_parametric);
  add_operations(registry, {"Elu", "Celu"}, {"x"}, {"alpha"}, lower_parametric);
  add_operations(registry, {"Gelu"}, {"x"}, {"approximate"}, lower_parametric);
  add_operations(registry, {"Squareplus"}, {"x"}, {"b"}, lower_parametric);
  add_operations(registry, {"SoftShrink", "HardShrink", "Threshold"}, {"x"},
                 {"threshold", "default_value"}, lower_parametric);
  add_operations(registry, {"Negative", "Absolute", "Abs", "Sign", "Square", "Trunc"}, {"x"}, {},
                 lower_of_integers);
  add_operations(registry, {"Round"}, {"x"}, {"decimals"}, lower_round);
  add_operations(registry, {"Deg2rad", "Rad2deg"}, {"x"}, {}, lower_angle);
  add_operations(registry, {"Sinc"}, {"x"}, {}, lower_sinc);
  add_operations(registry, {"NanToNum"}, {"x"}, {"nan", "posinf", "neginf"}, lower_nan_to_num);
  add_operations(registry, {"Log2", "Log10"}, {"x"}, {}, lower_logarithm);
  add_operations(registry, {"Cast", "StopGradient", "Copy", "Array", "ConvertToTensor"}, {"x"},
                 {"dtype"}, lower_cast);
  add_operations(registry, {"OnesLike", "ZerosLike", "EmptyLike", "FullLike"}, {"x", "fill_value"},
                 {"dtype"}, lower_like);
}

}  // namespace kerf::layers
