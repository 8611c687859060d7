#include <fmt/format.h>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "layers/operation.h"

// What a number is made of: the parts of complex ones, which kerf's are not, signs, limits; and
// counts of them.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Function;
using program::Reduce;

// A value in the shape of x.
ValueId filled(Operation& op, ValueId x, ValueId value) {
  const ValueId equal = op.binary(Binary::Kind::kEqual, x, x);
  const ValueId always =
      op.binary(Binary::Kind::kOr, equal, op.ops().append(program::Not{}, {equal}));
  return op.select(always, value, value);
}

void lower_same(Operation& op) { op.output(op.tensor("x")); }

void lower_imaginary(Operation& op) {
  const ValueId x = op.tensor("x");
  op.output(filled(op, x, op.number(0, op.dtype(x))));
}

void lower_is_real(Operation& op) {
  op.output(filled(op, op.tensor("x"), op.number(1, DType::kBool)));
}

// 0 or pi.
void lower_angle(Operation& op) {
  const ValueId x = op.to_float(op.tensor("x"));
  op.output(op.binary(Binary::Kind::kArctan2, op.number(0, DType::kFloat32), x));
}

void lower_sign_bit(Operation& op) {
  const ValueId x = op.tensor("x");
  const ValueId zero = op.number(0, op.dtype(x));
  ValueId negative = op.binary(Binary::Kind::kLess, x, zero);
  if (op.dtype(x) == DType::kFloat32) {
    // The reciprocal of -0 is below 0.
    const ValueId turned =
        op.binary(Binary::Kind::kLess, op.unary({Function::kReciprocal}, x), zero);
    negative = op.binary(Binary::Kind::kOr, negative, turned);
  }
  op.output(negative);
}

void lower_saturate_cast(Operation& op) {
  static const std::map<std::string_view, std::pair<double, double>> kLimits{
      {"uint8", {0, 255}},
      {"int8", {-128, 127}},
      {"uint16", {0, 65535}},
      {"int16", {-32768, 32767}}};
  ValueId x = op.tensor("x");
  const std::string name = op.arguments().text("dtype", "float32");
  const DType dtype = op.dtype_of("dtype", DType::kFloat32);
  const auto limits = kLimits.find(name);
  if (limits != kLimits.end()) {
    const auto [low, high] = limits->second;
    x = op.binary(Binary::Kind::kMaximum, x, op.number(low, op.dtype(x)));
    x = op.binary(Binary::Kind::kMinimum, x, op.number(high, op.dtype(x)));
  } else if (is_integer(dtype)) {
    op.unsupported("dtype", fmt::format("'{}' is saturated", name));
  }
  op.output(dtype == DType::kBool ? op.to_bool(x) : op.cast(dtype, x));
}

// How many elements there are, also where only a request tells.
void lower_size(Operation& op) {
  const ValueId ones = filled(op, op.tensor("x"), op.number(1, DType::kInt32));
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < op.rank(ones); ++i) axes.push_back(static_cast<std::int64_t>(i));
  op.output(axes.empty() ? ones : op.reduce(Reduce::Kind::kSum, std::move(axes), false, ones));
}

// As if what is no number were not there.
void lower_number_places(Operation& op) {
  ValueId x = op.to_float(op.tensor("x"));
  const bool maximum = op.class_name() == "Nanargmax";
  const ValueId none =
      op.number(std::numeric_limits<double>::infinity() * (maximum ? -1 : 1), DType::kFloat32);
  x = op.select(op.binary(Binary::Kind::kEqual, x, x), x, none);
  std::size_t axis = 0;
  const bool all = !op.has("axis");
  if (all && op.arguments().boolean("keepdims", false)) {
    op.unsupported("keepdims", "is true where all axes are looked at");
  }
  x = op.along(x, axis);
  const ValueId y =
      op.ops().append(program::ArgReduce{.kind = maximum ? program::ArgReduce::Kind::kMax
                                                         : program::ArgReduce::Kind::kMin,
                                         .axis = static_cast<std::int64_t>(axis)},
                      {x});
  op.output(op.arguments().boolean("keepdims", false) ? op.with_axis(y, axis) : y);
}

void lower_number_sums(Operation& op) {
  ValueId x = op.to_float(op.tensor("x"));
  const bool sum = op.class_name() == "Nancumsum";
  const ValueId none = op.number(sum ? 0 : 1, DType::kFloat32);
  x = op.select(op.binary(Binary::Kind::kEqual, x, x), x, none);
  std::size_t axis = 0;
  x = op.along(x, axis);
  const ValueId y = op.ops().append(
      program::Cumulate{sum ? program::Cumulate::Kind::kSum : program::Cumulate::Kind::kProduct,
                        static_cast<std::int64_t>(axis)},
      {x});
  op.output(op.cast(op.dtype_of("dtype", DType::kFloat32), y));
}

}  // namespace

void register_number_parts(Registry& registry);
void register_number_parts(Registry& registry) {
  add_operations(registry, {"Real", "Conjugate"}, {"x"}, {}, lower_same);
  add_operations(registry, {"Imag"}, {"x"}, {}, lower_imaginary);
  add_operations(registry, {"Isreal"}, {"x"}, {}, lower_is_real);
  add_operations(registry, {"Angle"}, {"x"}, {}, lower_angle);
  add_operations(registry, {"Signbit"}, {"x"}, {}, lower_sign_bit);
  add_operations(registry, {"SaturateCast"}, {"x"}, {"dtype"}, lower_saturate_cast);
  add_operations(registry, {"Size"}, {"x"}, {}, lower_size);
  add_operations(registry, {"Nanargmax", "Nanargmin"}, {"x"}, {"axis", "keepdims"},
                 lower_number_places);
  add_operations(registry, {"Nancumsum", "Nancumprod"}, {"x"}, {"axis", "dtype"},
                 lower_number_sums);
}

}  // namespace kerf::layers
