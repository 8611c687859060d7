#include "engine/kernels/winograd_transform.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/winograd_transform.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/partial-inl.h"
#include "engine/kernels/vector_math-inl.h"
#include "hwy/highway.h"

// Interpolation points are 0, 1, -1 for m = 2, and 0, +-1/sqrt(2), +-sqrt(2) for m = 4, and
// infinity: these have about half of the rounding error of 0, +-1, +-2 (Barabasz et al., "Error
// Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2020).
HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;
constexpr std::size_t kLanes = hn::MaxLanes(Tag());
constexpr float kNear = 0.70710678118654752F;
constexpr float kFar = 1.41421356237309505F;

// A whole vector of channels, or the `count` that are left.
struct WholeVector {
  HWY_INLINE Vector load(const float* from) const { return hn::LoadU(Tag(), from); }
  HWY_INLINE void store(Vector v, float* to) const { hn::StoreU(v, Tag(), to); }
};
struct PartOfVector {
  std::size_t count;
  HWY_INLINE Vector load(const float* from) const { return load_partial(Tag(), from, count); }
  HWY_INLINE void store(Vector v, float* to) const { store_partial(v, Tag(), to, count); }
};

HWY_INLINE Vector set(float value) { return hn::Set(Tag(), value); }

// Along one axis: 3 weights or m + 2 cells into positions, m + 2 sums into outputs.
HWY_INLINE void transform_weights(const Vector (&w)[3], Vector (&u)[4]) {
  const Vector half = set(0.5F);
  const Vector even = hn::Mul(half, hn::Add(w[0], w[2]));
  u[0] = w[0];
  u[1] = hn::MulAdd(half, w[1], even);
  u[2] = hn::NegMulAdd(half, w[1], even);
  u[3] = w[2];
}
HWY_INLINE void transform_weights(const Vector (&w)[3], Vector (&u)[6]) {
  const Vector near_even = hn::Mul(set(-2.0F / 3), hn::MulAdd(set(0.5F), w[2], w[0]));
  const Vector near_odd = set(-2.0F / 3 * kNear);
  const Vector far_even = hn::Mul(set(1.0F / 6), hn::MulAdd(set(2), w[2], w[0]));
  const Vector far_odd = set(kFar / 6);
  u[0] = w[0];
  u[1] = hn::MulAdd(near_odd, w[1], near_even);
  u[2] = hn::NegMulAdd(near_odd, w[1], near_even);
  u[3] = hn::MulAdd(far_odd, w[1], far_even);
  u[4] = hn::NegMulAdd(far_odd, w[1], far_even);
  u[5] = w[2];
}
HWY_INLINE void transform_input(const Vector (&d)[4], Vector (&v)[4]) {
  v[0] = hn::Sub(d[0], d[2]);
  v[1] = hn::Add(d[1], d[2]);
  v[2] = hn::Sub(d[2], d[1]);
  v[3] = hn::Sub(d[3], d[1]);
}
HWY_INLINE void transform_input(const Vector (&d)[6], Vector (&v)[6]) {
  v[0] = hn::MulAdd(set(-2.5F), d[2], hn::Add(d[0], d[4]));
  v[5] = hn::MulAdd(set(-2.5F), d[3], hn::Add(d[1], d[5]));
  const Vector near_even = hn::MulAdd(set(-2), d[2], d[4]);
  const Vector near_odd = hn::MulAdd(set(-2), d[1], d[3]);
  v[1] = hn::MulAdd(set(kNear), near_odd, near_even);
  v[2] = hn::NegMulAdd(set(kNear), near_odd, near_even);
  const Vector far_even = hn::MulAdd(set(-0.5F), d[2], d[4]);
  const Vector far_odd = hn::MulAdd(set(-0.5F), d[1], d[3]);
  v[3] = hn::MulAdd(set(kFar), far_odd, far_even);
  v[4] = hn::NegMulAdd(set(kFar), far_odd, far_even);
}
HWY_INLINE void transform_output(const Vector (&s)[4], Vector (&y)[2]) {
  y[0] = hn::Add(s[0], hn::Add(s[1], s[2]));
  y[1] = hn::Add(hn::Sub(s[1], s[2]), s[3]);
}
HWY_INLINE void transform_output(const Vector (&s)[6], Vector (&y)[4]) {
  const Vector near_even = hn::Add(s[1], s[2]);
  const Vector near_odd = hn::Sub(s[1], s[2]);
  const Vector far_even = hn::Add(s[3], s[4]);
  const Vector far_odd = hn::Sub(s[3], s[4]);
  y[0] = hn::Add(s[0], hn::Add(near_even, far_even));
  y[1] = hn::MulAdd(set(kNear), near_odd, hn::Mul(set(kFar), far_odd));
  y[2] = hn::MulAdd(set(0.5F), near_even, hn::Mul(set(2), far_even));
  y[3] = hn::MulAdd(set(0.5F * kNear), near_odd, hn::MulAdd(set(2 * kFar), far_odd, s[5]));
}

template <std::size_t M>
void weights(const WinogradWeights& t) {
  constexpr std::size_t P = M + 2;
  const Tag d;
  const std::size_t plane = t.vectors * kLanes;
  for (std::size_t at = 0; at < plane; at += kLanes) {
    Vector half[3][P];
#pragma GCC unroll 3
    for (std::size_t i = 0; i < 3; ++i) {
      const float* from = t.from + i * 3 * plane + at;
      const Vector row[3] = {hn::Load(d, from), hn::Load(d, from + plane),
                             hn::Load(d, from + 2 * plane)};
      transform_weights(row, half[i]);
    }
    float* to = t.to + at;
#pragma GCC unroll 6
    for (std::size_t j = 0; j < P; ++j) {
      const Vector column[3] = {half[0][j], half[1][j], half[2][j]};
      Vector out[P];
      transform_weights(column, out);
#pragma GCC unroll 6
      for (std::size_t i = 0; i < P; ++i) hn::Store(out[i], d, to + (i * P + j) * t.position);
    }
  }
}

// One vector of channels of a patch, first along its columns, then along its rows.
template <std::size_t P, bool kWhole, class Access>
HWY_INLINE void input_vector(const WinogradInput& t, std::size_t channel, const Access& access) {
  const Tag d;
  HWY_ALIGN float half[P * P * kLanes];
  const float* from = t.x + channel;
#pragma GCC unroll 6
  for (std::size_t j = 0; j < P; ++j) {
    if (!kWhole && (j < t.cell_begin || j >= t.cell_end)) {
#pragma GCC unroll 6
      for (std::size_t i = 0; i < P; ++i) hn::Store(hn::Zero(d), d, half + (i * P + j) * kLanes);
      continue;
    }
    Vector in[P];
    Vector out[P];
    const float* column = from;
#pragma GCC unroll 6
    for (std::size_t i = 0; i < P; ++i) {
      if (!kWhole && (i < t.row_begin || i >= t.row_end)) {
        in[i] = hn::Zero(d);
      } else {
        in[i] = access.load(column);
        column += t.row;
      }
    }
    transform_input(in, out);
#pragma GCC unroll 6
    for (std::size_t i = 0; i < P; ++i) hn::Store(out[i], d, half + (i * P + j) * kLanes);
    from += t.cell;
  }
  float* to = t.to + channel;
#pragma GCC unroll 6
  for (std::size_t i = 0; i < P; ++i) {
    Vector in[P];
    Vector out[P];
#pragma GCC unroll 6
    for (std::size_t j = 0; j < P; ++j) in[j] = hn::Load(d, half + (i * P + j) * kLanes);
    transform_input(in, out);
#pragma GCC unroll 6
    for (std::size_t j = 0; j < P; ++j, to += t.position) access.store(out[j], to);
  }
}

template <std::size_t P, bool kWhole>
HWY_INLINE void input_channels(const WinogradInput& t) {
  std::size_t channel = 0;
  for (; channel + kLanes <= t.channels; channel += kLanes) {
    input_vector<P, kWhole>(t, channel, WholeVector());
  }
  if (channel < t.channels) input_vector<P, kWhole>(t, channel, PartOfVector{t.channels - channel});
}

template <std::size_t M>
void input(const WinogradInput& t) {
  constexpr std::size_t P = M + 2;
  if (t.row_begin == 0 && t.row_end == P && t.cell_begin == 0 && t.cell_end == P) {
    input_channels<P, true>(t);
  } else {
    input_channels<P, false>(t);
  }
}

template <std::size_t M, bool kWhole, class Access>
HWY_INLINE void output_vector(const WinogradOutput& t, std::size_t channel, const Access& access) {
  constexpr std::size_t P = M + 2;
  const Tag d;
  HWY_ALIGN float half[M * P * kLanes];
  const float* sums = t.sums + channel;
#pragma GCC unroll 6
  for (std::size_t j = 0; j < P; ++j) {
    Vector in[P];
    Vector out[M];
#pragma GCC unroll 6
    for (std::size_t i = 0; i < P; ++i) in[i] = hn::Load(d, sums + (i * P + j) * t.position);
    transform_output(in, out);
#pragma GCC unroll 4
    for (std::size_t i = 0; i < M; ++i) hn::Store(out[i], d, half + (i * P + j) * kLanes);
  }
  const Vector scale = t.scale != nullptr ? access.load(t.scale + channel) : set(1);
  const Vector bias = t.bias != nullptr ? access.load(t.bias + channel) : hn::Zero(d);
#pragma GCC unroll 4
  for (std::size_t i = 0; i < M; ++i) {
    if (!kWhole && i >= t.rows) break;
    Vector in[P];
    Vector out[M];
#pragma GCC unroll 6
    for (std::size_t j = 0; j < P; ++j) in[j] = hn::Load(d, half + (i * P + j) * kLanes);
    transform_output(in, out);
#pragma GCC unroll 4
    for (std::size_t j = 0; j < M; ++j) {
      if (!kWhole && j >= t.cells) break;
      const std::size_t at = i * t.row + j * t.cell + channel;
      Vector y = hn::MulAdd(out[j], scale, bias);
      if (t.residual != nullptr) y = hn::Add(y, access.load(t.residual + at));
      if (t.clamp) y = clip(d, y, t.low, t.high);
      access.store(y, t.y + at);
    }
  }
}

template <std::size_t M, bool kWhole>
HWY_INLINE void output_channels(const WinogradOutput& t) {
  std::size_t channel = 0;
  for (; channel + kLanes <= t.channels; channel += kLanes) {
    output_vector<M, kWhole>(t, channel, WholeVector());
  }
  if (channel < t.channels) {
    output_vector<M, kWhole>(t, channel, PartOfVector{t.channels - channel});
  }
}

template <std::size_t M>
void output(const WinogradOutput& t) {
  if (t.rows == M && t.cells == M) {
    output_channels<M, true>(t);
  } else {
    output_channels<M, false>(t);
  }
}

const WinogradFunctions* functions_of_target(std::size_t m) {
  static constexpr WinogradFunctions kTwo{
      .weights = weights<2>, .input = input<2>, .output = output<2>};
  static constexpr WinogradFunctions kFour{
      .weights = weights<4>, .input = input<4>, .output = output<4>};
  return m == 2 ? &kTwo : &kFour;
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {

HWY_EXPORT(functions_of_target);

const WinogradFunctions& winograd_functions(std::size_t m) {
  return *HWY_DYNAMIC_DISPATCH(functions_of_target)(m);
}

}  // namespace kerf::engine
#endif
