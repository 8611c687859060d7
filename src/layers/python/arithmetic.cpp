#include "layers/python/arithmetic.h"

#include <cmath>

namespace kerf::layers::python {
namespace {

std::optional<std::int64_t> integer_of(const Value& value) {
  if (const auto* number = value.as<std::int64_t>()) return *number;
  if (const auto* flag = value.as<bool>()) return *flag ? 1 : 0;
  return std::nullopt;
}

std::int64_t floor_divided(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

std::optional<Value> power(std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return std::nullopt;
    return Value{std::pow(static_cast<double>(base), static_cast<double>(exponent))};
  }
  std::int64_t result = 1;
  const bool small = base >= -1 && base <= 1;
  if (small) return Value{exponent == 0 ? 1 : exponent % 2 == 0 ? base * base : base};
  for (std::int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) return std::nullopt;
  }
  return Value{result};
}

std::optional<Value> of_integers(BinaryOperator op, std::int64_t a, std::int64_t b) {
  constexpr std::int64_t kLowest = INT64_MIN;
  std::int64_t result = 0;
  switch (op) {
    case BinaryOperator::kAdd:
      if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
      return Value{result};
    case BinaryOperator::kSubtract:
      if (__builtin_sub_overflow(a, b, &result)) return std::nullopt;
      return Value{result};
    case BinaryOperator::kMultiply:
      if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
      return Value{result};
    case BinaryOperator::kFloorDivide:
    case BinaryOperator::kOldDivide:
      if (b == 0 || (a == kLowest && b == -1)) return std::nullopt;
      return Value{floor_divided(a, b)};
    case BinaryOperator::kRemainder:
      if (b == 0 || b == -1) return b == 0 ? std::nullopt : std::optional(Value{std::int64_t{0}});
      return Value{a - floor_divided(a, b) * b};
    case BinaryOperator::kDivide:
      if (b == 0) return std::nullopt;
      return Value{static_cast<double>(a) / static_cast<double>(b)};
    case BinaryOperator::kPower:
      return power(a, b);
    case BinaryOperator::kAnd:
      return Value{a & b};
    case BinaryOperator::kOr:
      return Value{a | b};
    case BinaryOperator::kXor:
      return Value{a ^ b};
    case BinaryOperator::kLeftShift:
      if (b < 0 || b > 32 || a < 0 || a > (std::int64_t{1} << 30)) return std::nullopt;
      return Value{a << b};
    case BinaryOperator::kRightShift:
      if (b < 0 || b > 63) return std::nullopt;
      return Value{a >> b};
    case BinaryOperator::kMatrixMultiply:
      break;
  }
  return std::nullopt;
}

std::optional<Value> of_floats(BinaryOperator op, double a, double b) {
  switch (op) {
    case BinaryOperator::kAdd:
      return Value{a + b};
    case BinaryOperator::kSubtract:
      return Value{a - b};
    case BinaryOperator::kMultiply:
      return Value{a * b};
    case BinaryOperator::kFloorDivide:
      return b == 0 ? std::nullopt : std::optional(Value{std::floor(a / b)});
    case BinaryOperator::kDivide:
    case BinaryOperator::kOldDivide:
      return b == 0 ? std::nullopt : std::optional(Value{a / b});
    case BinaryOperator::kRemainder: {
      if (b == 0) return std::nullopt;
      const double rest = std::fmod(a, b);
      return Value{rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest};
    }
    case BinaryOperator::kPower: {
      const double result = std::pow(a, b);
      return std::isnan(result) ? std::nullopt : std::optional(Value{result});
    }
    default:
      return std::nullopt;
  }
}

template <typename T>
std::optional<bool> ordered(Comparison comparison, T a, T b) {
  switch (comparison) {
    case Comparison::kLess:
      return a < b;
    case Comparison::kLessEqual:
      return a <= b;
    case Comparison::kEqual:
      return a == b;
    case Comparison::kNotEqual:
      return a != b;
    case Comparison::kGreater:
      return a > b;
    case Comparison::kGreaterEqual:
      return a >= b;
    default:
      return std::nullopt;
  }
}

// Whether two values that hold no tensors are equal; nothing where one does.
std::optional<bool> equal(const Value& a, const Value& b) {
  if (a.is<TensorValue>() || b.is<TensorValue>() || a.is<Dimension>() || b.is<Dimension>()) {
    return std::nullopt;
  }
  const auto x = number_of(a);
  const auto y = number_of(b);
  if (x || y) return x && y && *x == *y;
  if (a.is<std::string>() && b.is<std::string>()) {
    return *a.as<std::string>() == *b.as<std::string>();
  }
  if (a.is<NoneValue>() || b.is<NoneValue>()) return a.is<NoneValue>() && b.is<NoneValue>();
  const auto* left = a.as<Sequence>();
  const auto* right = b.as<Sequence>();
  if (left == nullptr || right == nullptr) return std::nullopt;
  if (left->list != right->list || left->items->size() != right->items->size()) return false;
  for (std::size_t i = 0; i < left->items->size(); ++i) {
    const auto same = equal((*left->items)[i], (*right->items)[i]);
    if (!same || !*same) return same;
  }
  return true;
}

}  // namespace

std::optional<double> number_of(const Value& value) {
  if (const auto* number = value.as<double>()) return *number;
  if (const auto integer = integer_of(value)) return static_cast<double>(*integer);
  return std::nullopt;
}

std::optional<Value> folded_binary(BinaryOperator op, const Value& a, const Value& b) {
  const auto m = integer_of(a);
  const auto n = integer_of(b);
  if (m && n) return of_integers(op, *m, *n);
  const auto x = number_of(a);
  const auto y = number_of(b);
  if (x && y) return of_floats(op, *x, *y);
  return std::nullopt;
}

std::optional<bool> folded_comparison(Comparison comparison, const Value& a, const Value& b) {
  const auto m = integer_of(a);
  const auto n = integer_of(b);
  if (m && n) return ordered(comparison, *m, *n);
  const auto x = number_of(a);
  const auto y = number_of(b);
  if (x && y) return ordered(comparison, *x, *y);
  if (comparison != Comparison::kEqual && comparison != Comparison::kNotEqual) return std::nullopt;
  const auto same = equal(a, b);
  if (!same) return std::nullopt;
  return *same == (comparison == Comparison::kEqual);
}

}  // namespace kerf::layers::python
