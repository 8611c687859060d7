// Elementary functions and Keras' activations on vectors of float: within a few units in the last
// place, exact at their limits; NaN stays NaN. Compiled once per target.
#if defined(KERF_VECTOR_MATH_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERF_VECTOR_MATH_INL_H_
#undef KERF_VECTOR_MATH_INL_H_
#else
#define KERF_VECTOR_MATH_INL_H_
#endif

#include <cmath>
#include <cstdint>
#include <limits>

#include "hwy/highway.h"
#include "program/op.h"
#include "tensor/float8.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// On x86 the minimum and maximum of a NaN and a number are the second operand: v goes second, so
// that its NaN survives.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V at_least(D d, V v, float low) {
  return hn::Max(hn::Set(d, low), v);
}
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V at_most(D d, V v, float high) {
  return hn::Min(hn::Set(d, high), v);
}
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V clip(D d, V v, float low, float high) {
  return at_most(d, at_least(d, v, low), high);
}

// ((c0 x + c1) x + c2) ...
template <class D, class V = hn::VFromD<D>, class... C>
HWY_INLINE V horner(D d, V x, float first, C... rest) {
  V sum = hn::Set(d, first);
  ((sum = hn::MulAdd(sum, x, hn::Set(d, rest))), ...);
  return sum;
}

template <class D>
using Int = hn::VFromD<hn::RebindToSigned<D>>;

// 2^n for n in [-126, 128]; 2^128 is infinity.
template <class D>
HWY_INLINE hn::VFromD<D> power_of_two(D d, Int<D> n) {
  const hn::RebindToSigned<D> di;
  return hn::BitCast(d, hn::ShiftLeft<23>(hn::Add(n, hn::Set(di, 127))));
}

// x = n ln 2 + r, |r| <= ln 2 / 2: e^r - 1 by Cephes' polynomial. Adding 1.5 * 2^23 rounds to an
// integer, and leaves it in the lowest bits.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V exp_reduced(D d, V x, Int<D>& n) {
  const hn::RebindToSigned<D> di;
  const V magic = hn::Set(d, 12582912.0F);
  const V biased = hn::MulAdd(x, hn::Set(d, 1.44269504088896341F), magic);
  n = hn::Sub(hn::BitCast(di, biased), hn::BitCast(di, magic));
  const V whole = hn::Sub(biased, magic);
  V r = hn::NegMulAdd(whole, hn::Set(d, 0.693359375F), x);
  r = hn::NegMulAdd(whole, hn::Set(d, -2.12194440e-4F), r);
  const V p = horner(d, r, 1.9875691500e-4F, 1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F,
                     1.6666665459e-1F, 5.0000001201e-1F);
  return hn::MulAdd(hn::Mul(p, r), r, r);
}

// e^x, down to subnormal results.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Exp(D d, V x) {
  Int<D> n;
  const V p = hn::Add(exp_reduced(d, clip(d, x, -104.0F, 89.0F), n), hn::Set(d, 1.0F));
  // 2^n may leave the normal range where the result does not: in two factors.
  const Int<D> half = hn::ShiftRight<1>(n);
  return hn::Mul(hn::Mul(p, power_of_two(d, half)), power_of_two(d, hn::Sub(n, half)));
}

// e^x for terms that are added to others: below e^-87 it stays there, above e^88.3 it is infinite.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V ExpFast(D d, V x) {
  Int<D> n;
  const V p = hn::Add(exp_reduced(d, clip(d, x, -87.0F, 89.0F), n), hn::Set(d, 1.0F));
  return hn::Mul(p, power_of_two(d, n));
}

// e^x - 1 for x <= 0.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Expm1Negative(D d, V x) {
  Int<D> n;
  const V p = exp_reduced(d, at_least(d, x, -40.0F), n);
  const V scale = power_of_two(d, n);
  return hn::MulAdd(p, scale, hn::Sub(scale, hn::Set(d, 1.0F)));
}

// ln x; negative: NaN, 0: -infinity. Cephes' polynomial.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Log(D d, V x) {
  const hn::RebindToSigned<D> di;
  const V one = hn::Set(d, 1.0F);
  const auto subnormal = hn::Lt(x, hn::Set(d, 1.17549435e-38F));
  const V scaled = hn::IfThenElse(subnormal, hn::Mul(x, hn::Set(d, 8388608.0F)), x);
  const auto bits = hn::BitCast(di, scaled);
  // m in [sqrt(1/2), sqrt(2)).
  const auto shifted = hn::Sub(bits, hn::Set(di, 0x3F3504F3));
  V e = hn::ConvertTo(d, hn::ShiftRight<23>(shifted));
  e = hn::IfThenElse(subnormal, hn::Sub(e, hn::Set(d, 23.0F)), e);
  const auto mantissa = hn::Add(hn::And(shifted, hn::Set(di, 0x007FFFFF)), hn::Set(di, 0x3F3504F3));
  const V m = hn::Sub(hn::BitCast(d, mantissa), one);
  const V p = horner(d, m, 7.0376836292e-2F, -1.1514610310e-1F, 1.1676998740e-1F, -1.2420140846e-1F,
                     1.4249322787e-1F, -1.6668057665e-1F, 2.0000714765e-1F, -2.4999993993e-1F,
                     3.3333331174e-1F);
  const V square = hn::Mul(m, m);
  V y = hn::Mul(hn::Mul(p, m), square);
  y = hn::MulAdd(e, hn::Set(d, -2.12194440e-4F), y);
  y = hn::NegMulAdd(square, hn::Set(d, 0.5F), y);
  y = hn::MulAdd(e, hn::Set(d, 0.693359375F), hn::Add(m, y));
  const V infinity = hn::Inf(d);
  y = hn::IfThenElse(hn::Eq(x, infinity), infinity, y);
  y = hn::IfThenElse(hn::Eq(x, hn::Zero(d)), hn::Neg(infinity), y);
  const auto invalid = hn::Not(hn::Ge(x, hn::Zero(d)));  // negative or NaN
  return hn::IfThenElse(invalid, hn::NaN(d), y);
}

// ln(1 + x) for 0 <= x <= 1, by 2 artanh(x / (2 + x)).
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Log1pUnit(D d, V x) {
  const V s = hn::Div(x, hn::Add(x, hn::Set(d, 2.0F)));
  const V s2 = hn::Mul(s, s);
  const V p = horner(d, s2, 2.0F / 17, 2.0F / 15, 2.0F / 13, 2.0F / 11, 2.0F / 9, 2.0F / 7,
                     2.0F / 5, 2.0F / 3);
  return hn::MulAdd(hn::Mul(p, s2), s, hn::Add(s, s));
}

template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0F);
  return hn::Div(one, hn::Add(one, ExpFast(d, hn::Neg(x))));
}

// -(e^-2|x| - 1) / (e^-2|x| + 1), with the sign of x.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Tanh(D d, V x) {
  const V e = Expm1Negative(d, hn::Mul(hn::Abs(x), hn::Set(d, -2.0F)));
  return hn::CopySign(hn::Div(e, hn::Add(e, hn::Set(d, 2.0F))), x);
}

// x P(x^2) / Q(x^2), Eigen's rational approximation, saturated.
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Erf(D d, V x) {
  const V bounded = clip(d, x, -4.0F, 4.0F);
  const V x2 = hn::Mul(bounded, bounded);
  const V p = horner(d, x2, -2.72614225801306e-10F, 2.77068142495902e-08F, -2.10102402082508e-06F,
                     -5.69250639462346e-05F, -7.34990630326855e-04F, -2.95459980854025e-03F,
                     -1.60960333262415e-02F);
  const V q = horner(d, x2, -1.45660718464996e-05F, -2.13374055278905e-04F, -1.68282697438203e-03F,
                     -7.37332916720468e-03F, -1.42647390514189e-02F);
  return clip(d, hn::Mul(bounded, hn::Div(p, q)), -1.0F, 1.0F);
}

// ln(1 + e^x).
template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Softplus(D d, V x) {
  const V e = Exp(d, hn::Neg(hn::Abs(x)));
  return hn::Add(at_least(d, x, 0.0F), Log1pUnit(d, e));
}

template <class D, class V = hn::VFromD<D>>
HWY_INLINE V Relu(D d, V x) {
  return at_least(d, x, 0.0F);
}

// The function objects. They hold the parameters as floats: loops keep their vectors in registers.
namespace function {

#define KERF_FUNCTION(NAME, EXPRESSION)                        \
  struct NAME {                                                \
    float a, b, c;                                             \
    template <class D, class V>                                \
    HWY_INLINE V operator()([[maybe_unused]] D d, V x) const { \
      return EXPRESSION;                                       \
    }                                                          \
  }

KERF_FUNCTION(Identity, x);
KERF_FUNCTION(PlainRelu, Relu(d, x));
// With a slope of 0 even -infinity becomes 0.
KERF_FUNCTION(GeneralRelu,
              hn::IfThenElse(hn::Le(x, hn::Set(d, c)),
                             a == 0 ? hn::Zero(d)
                                    : hn::Mul(hn::Set(d, a), hn::Sub(x, hn::Set(d, c))),
                             at_most(d, x, b)));
KERF_FUNCTION(Elu, hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x,
                                  hn::Mul(hn::Set(d, a), Expm1Negative(d, at_most(d, x, 0)))));
KERF_FUNCTION(Selu, hn::Mul(hn::Set(d, 1.0507009873554805F),
                            hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x,
                                           hn::Mul(hn::Set(d, 1.6732632423543772F),
                                                   Expm1Negative(d, at_most(d, x, 0))))));
KERF_FUNCTION(Celu,
              hn::IfThenElse(hn::Gt(x, hn::Zero(d)), x,
                             hn::Mul(hn::Set(d, a),
                                     Expm1Negative(d, hn::Div(at_most(d, x, 0), hn::Set(d, a))))));
KERF_FUNCTION(Gelu, hn::Mul(hn::Mul(hn::Set(d, 0.5F), x),
                            hn::Add(hn::Set(d, 1.0F),
                                    Erf(d, hn::Mul(x, hn::Set(d, 0.70710678118654752F))))));
// (1 + tanh u) / 2 = sigmoid(2 u).
KERF_FUNCTION(GeluTanh, hn::Mul(x, Sigmoid(d, hn::Mul(hn::Mul(hn::Set(d, 1.59576912160573072F), x),
                                                      hn::MulAdd(hn::Mul(hn::Set(d, 0.044715F), x),
                                                                 x, hn::Set(d, 1.0F))))));
KERF_FUNCTION(SigmoidOf, Sigmoid(d, x));
KERF_FUNCTION(HardSigmoid, clip(d, hn::MulAdd(hn::Set(d, a), x, hn::Set(d, b)), 0, 1));
KERF_FUNCTION(Silu, hn::Mul(x, Sigmoid(d, x)));
KERF_FUNCTION(HardSilu,
              hn::Mul(x, clip(d, hn::MulAdd(x, hn::Set(d, 1.0F / 6), hn::Set(d, 0.5F)), 0, 1)));
KERF_FUNCTION(TanhOf, Tanh(d, x));
KERF_FUNCTION(HardTanh, clip(d, x, -1, 1));
KERF_FUNCTION(TanhShrink, hn::Sub(x, Tanh(d, x)));
KERF_FUNCTION(SoftplusOf, Softplus(d, x));
KERF_FUNCTION(Softsign, hn::Div(x, hn::Add(hn::Abs(x), hn::Set(d, 1.0F))));
KERF_FUNCTION(SoftShrink, hn::IfThenElse(hn::Le(hn::Abs(x), hn::Set(d, a)), hn::Zero(d),
                                         hn::Sub(x, hn::CopySign(hn::Set(d, a), x))));
KERF_FUNCTION(HardShrink, hn::IfThenElse(hn::Le(hn::Abs(x), hn::Set(d, a)), hn::Zero(d), x));
KERF_FUNCTION(Threshold, hn::IfThenElse(hn::Le(x, hn::Set(d, a)), hn::Set(d, b), x));
KERF_FUNCTION(Squareplus,
              hn::Mul(hn::Set(d, 0.5F), hn::Add(x, hn::Sqrt(hn::MulAdd(x, x, hn::Set(d, a))))));
KERF_FUNCTION(SparsePlus,
              hn::IfThenElse(hn::Ge(x, hn::Set(d, 1.0F)), x,
                             hn::Mul(hn::Set(d, 0.25F),
                                     hn::Mul(at_least(d, hn::Add(x, hn::Set(d, 1.0F)), 0),
                                             at_least(d, hn::Add(x, hn::Set(d, 1.0F)), 0)))));
KERF_FUNCTION(SparseSigmoid, clip(d, hn::MulAdd(x, hn::Set(d, 0.5F), hn::Set(d, 0.5F)), 0, 1));
KERF_FUNCTION(LogSigmoid, hn::Neg(Softplus(d, hn::Neg(x))));
// tanh(ln(1 + e)) = e (e + 2) / (e (e + 2) + 2).
struct Mish {
  float a, b, c;
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    const V two = hn::Set(d, 2.0F);
    const V e = Exp(d, at_most(d, x, 20.0F));
    const V n = hn::Mul(e, hn::Add(e, two));
    return hn::Mul(x, hn::Div(n, hn::Add(n, two)));
  }
};
KERF_FUNCTION(ExpOf, Exp(d, x));
KERF_FUNCTION(LogOf, Log(d, x));
KERF_FUNCTION(Sqrt, hn::Sqrt(x));
KERF_FUNCTION(Rsqrt, hn::Div(hn::Set(d, 1.0F), hn::Sqrt(x)));
KERF_FUNCTION(Square, hn::Mul(x, x));
KERF_FUNCTION(Absolute, hn::Abs(x));
KERF_FUNCTION(Negative, hn::Neg(x));
KERF_FUNCTION(Reciprocal, hn::Div(hn::Set(d, 1.0F), x));
KERF_FUNCTION(Sign, hn::IfThenElse(hn::Gt(hn::Abs(x), hn::Zero(d)),
                                   hn::CopySign(hn::Set(d, 1.0F), x), x));
KERF_FUNCTION(ErfOf, Erf(d, x));
KERF_FUNCTION(Floor, hn::Floor(x));
KERF_FUNCTION(Ceil, hn::Ceil(x));
KERF_FUNCTION(Round, hn::Round(x));
KERF_FUNCTION(Truncate, hn::Trunc(x));
// Functions that models use too rarely to be written in vectors: the library's, lane by lane.
struct Lanewise {
  float (*f)(float);
  template <class D, class V>
  HWY_INLINE V operator()(D d, V x) const {
    HWY_ALIGN float lanes[hn::MaxLanes(d)];
    hn::Store(x, d, lanes);
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) lanes[i] = f(lanes[i]);
    return hn::Load(d, lanes);
  }
};

#undef KERF_FUNCTION

}  // namespace function

// Giles' first guess, then Newton's steps in double.
inline float inverse_erf(float x) {
  if (!(x > -1 && x < 1)) return x == 1 || x == -1 ? x / 0.0F : std::nanf("");
  const double y = x;
  const double w = std::log1p(-y * y);
  constexpr double kA = 4.330746750799873;  // 2 / (pi * 0.147)
  const double t = kA + w / 2;
  double z = std::copysign(std::sqrt(std::sqrt(t * t - w / 0.147) - t), y);
  for (int i = 0; i < 3; ++i) {
    z -= (std::erf(z) - y) / (1.1283791670955126 * std::exp(-z * z));
  }
  return static_cast<float>(z);
}

inline float (*library_function(program::Function function))(float) {
  using program::Function;
  switch (function) {
    case Function::kLog1p:
      return [](float x) { return std::log1p(x); };
    case Function::kExpm1:
      return [](float x) { return std::expm1(x); };
    case Function::kSin:
      return [](float x) { return std::sin(x); };
    case Function::kCos:
      return [](float x) { return std::cos(x); };
    case Function::kTan:
      return [](float x) { return std::tan(x); };
    case Function::kArcsin:
      return [](float x) { return std::asin(x); };
    case Function::kArccos:
      return [](float x) { return std::acos(x); };
    case Function::kArctan:
      return [](float x) { return std::atan(x); };
    case Function::kSinh:
      return [](float x) { return std::sinh(x); };
    case Function::kCosh:
      return [](float x) { return std::cosh(x); };
    case Function::kArcsinh:
      return [](float x) { return std::asinh(x); };
    case Function::kArccosh:
      return [](float x) { return std::acosh(x); };
    case Function::kArctanh:
      return [](float x) { return std::atanh(x); };
    case Function::kErfc:
      return [](float x) { return std::erfc(x); };
    case Function::kErfinv:
      return inverse_erf;
    case Function::kCbrt:
      return [](float x) { return std::cbrt(x); };
    case Function::kExp2:
      return [](float x) { return std::exp2(x); };
    case Function::kFloat8:
      return to_float8;
    default:
      return [](float x) { return x; };
  }
}

// Calls body(function) with the function object for `f`, of its own type for each
// program::Function: function(d, v) -> v. What the body does, it does in a loop without a switch.
template <class Body>
HWY_INLINE void with_activation(const program::Activation& f, const Body& body) {
  using program::Function;
#define KERF_CASE(ENUMERATOR, NAME) \
  case Function::ENUMERATOR:        \
    return body(function::NAME{f.a, f.b, f.c})
  switch (f.function) {
    KERF_CASE(kIdentity, Identity);
    case Function::kRelu:
      if (f.a == 0 && f.c == 0 && f.b == std::numeric_limits<float>::infinity()) {
        return body(function::PlainRelu{f.a, f.b, f.c});
      }
      return body(function::GeneralRelu{f.a, f.b, f.c});
      KERF_CASE(kElu, Elu);
      KERF_CASE(kSelu, Selu);
      KERF_CASE(kCelu, Celu);
      KERF_CASE(kGelu, Gelu);
      KERF_CASE(kGeluTanh, GeluTanh);
      KERF_CASE(kSigmoid, SigmoidOf);
      KERF_CASE(kHardSigmoid, HardSigmoid);
      KERF_CASE(kSilu, Silu);
      KERF_CASE(kHardSilu, HardSilu);
      KERF_CASE(kTanh, TanhOf);
      KERF_CASE(kHardTanh, HardTanh);
      KERF_CASE(kTanhShrink, TanhShrink);
      KERF_CASE(kSoftplus, SoftplusOf);
      KERF_CASE(kSoftsign, Softsign);
      KERF_CASE(kSoftShrink, SoftShrink);
      KERF_CASE(kHardShrink, HardShrink);
      KERF_CASE(kThreshold, Threshold);
      KERF_CASE(kSquareplus, Squareplus);
      KERF_CASE(kSparsePlus, SparsePlus);
      KERF_CASE(kSparseSigmoid, SparseSigmoid);
      KERF_CASE(kLogSigmoid, LogSigmoid);
      KERF_CASE(kMish, Mish);
      KERF_CASE(kExp, ExpOf);
      KERF_CASE(kLog, LogOf);
      KERF_CASE(kSqrt, Sqrt);
      KERF_CASE(kRsqrt, Rsqrt);
      KERF_CASE(kSquare, Square);
      KERF_CASE(kAbs, Absolute);
      KERF_CASE(kNegative, Negative);
      KERF_CASE(kReciprocal, Reciprocal);
      KERF_CASE(kSign, Sign);
      KERF_CASE(kErf, ErfOf);
      KERF_CASE(kFloor, Floor);
      KERF_CASE(kCeil, Ceil);
      KERF_CASE(kRound, Round);
      KERF_CASE(kTruncate, Truncate);
    default:
      return body(function::Lanewise{library_function(f.function)});
  }
#undef KERF_CASE
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
