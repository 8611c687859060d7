#include "engine/kernels/float_loops.h"

#include <cmath>

#include "engine/kernels/activate.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/float_loops.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/partial-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using program::Binary;
using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

struct Dense {
  const float* from;
  HWY_INLINE Vector load(Tag d, std::size_t i) const { return hn::LoadU(d, from + i); }
  HWY_INLINE Vector load_partial(Tag d, std::size_t i, std::size_t count) const {
    return HWY_NAMESPACE::load_partial(d, from + i, count);
  }
  float at(std::size_t i) const { return from[i]; }
};

struct Scalar {
  float value;
  HWY_INLINE Vector load(Tag d, std::size_t) const { return hn::Set(d, value); }
  HWY_INLINE Vector load_partial(Tag d, std::size_t, std::size_t) const {
    return hn::Set(d, value);
  }
  float at(std::size_t) const { return value; }
};

// y[i] = f(a[i], b[i]).
template <class A, class B, class F>
HWY_INLINE void loop(const A& a, const B& b, float* y, std::size_t count, const F& f) {
  const Tag d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) hn::StoreU(f(a.load(d, i), b.load(d, i)), d, y + i);
  if (i < count) {
    const std::size_t rest = count - i;
    store_partial(f(a.load_partial(d, i, rest), b.load_partial(d, i, rest)), d, y + i, rest);
  }
}

template <class A, class B>
void combine(Binary::Kind kind, const A& a, const B& b, float* y, std::size_t count) {
  switch (kind) {
    case Binary::Kind::kAdd:
      return loop(a, b, y, count, [](Vector u, Vector v) { return hn::Add(u, v); });
    case Binary::Kind::kSubtract:
      return loop(a, b, y, count, [](Vector u, Vector v) { return hn::Sub(u, v); });
    case Binary::Kind::kMultiply:
      return loop(a, b, y, count, [](Vector u, Vector v) { return hn::Mul(u, v); });
    case Binary::Kind::kDivide:
      return loop(a, b, y, count, [](Vector u, Vector v) { return hn::Div(u, v); });
    // On x86 the second operand is what a NaN gives: only one in u has to be put back.
    case Binary::Kind::kMaximum:
      return loop(a, b, y, count, [](Vector u, Vector v) {
        return hn::IfThenElse(hn::IsNaN(u), u, hn::Max(u, v));
      });
    case Binary::Kind::kMinimum:
      return loop(a, b, y, count, [](Vector u, Vector v) {
        return hn::IfThenElse(hn::IsNaN(u), u, hn::Min(u, v));
      });
    case Binary::Kind::kFloorDivide:
      return loop(a, b, y, count, [](Vector u, Vector v) { return hn::Floor(hn::Div(u, v)); });
    case Binary::Kind::kSlope:
      return loop(a, b, y, count, [](Vector u, Vector v) {
        return hn::IfThenElse(hn::Gt(u, hn::Zero(Tag())), u, hn::Mul(u, v));
      });
    case Binary::Kind::kModulo:
      for (std::size_t i = 0; i < count; ++i) {
        const float rest = std::fmod(a.at(i), b.at(i));
        y[i] = rest != 0 && (rest < 0) != (b.at(i) < 0) ? rest + b.at(i) : rest;
      }
      return;
    case Binary::Kind::kArctan2:
      for (std::size_t i = 0; i < count; ++i) y[i] = std::atan2(a.at(i), b.at(i));
      return;
    default:
      for (std::size_t i = 0; i < count; ++i) y[i] = std::pow(a.at(i), b.at(i));
  }
}

void binary(Binary::Kind kind, const float* a, const float* b, float* y, std::size_t count) {
  combine(kind, Dense{a}, Dense{b}, y, count);
}

void binary_scalar(Binary::Kind kind, const float* a, float b, float* y, std::size_t count) {
  combine(kind, Dense{a}, Scalar{b}, y, count);
}

void scalar_binary(Binary::Kind kind, float a, const float* b, float* y, std::size_t count) {
  combine(kind, Scalar{a}, Dense{b}, y, count);
}

void affine(const float* x, const float* scale, const float* shift, float* y, std::size_t count) {
  const Tag d;
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const Vector v = hn::LoadU(d, x + i);
    hn::StoreU(hn::MulAdd(v, hn::LoadU(d, scale + i), hn::LoadU(d, shift + i)), d, y + i);
  }
  if (i < count) {
    const std::size_t rest = count - i;
    const Vector v = load_partial(d, x + i, rest);
    store_partial(hn::MulAdd(v, load_partial(d, scale + i, rest), load_partial(d, shift + i, rest)),
                  d, y + i, rest);
  }
}

FloatLoops loops_of_target() {
  return {.activate = nullptr,
          .binary = binary,
          .binary_scalar = binary_scalar,
          .scalar_binary = scalar_binary,
          .affine = affine};
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {

HWY_EXPORT(loops_of_target);

FloatLoops float_loops() {
  FloatLoops loops = HWY_DYNAMIC_DISPATCH(loops_of_target)();
  loops.activate = activate_function();
  return loops;
}

}  // namespace kerf::engine
#endif
