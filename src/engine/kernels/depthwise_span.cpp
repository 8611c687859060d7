#include "engine/kernels/depthwise_span.h"

#include <utility>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/depthwise_span.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/partial-inl.h"
#include "engine/kernels/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

using Tag = hn::ScalableTag<float>;
using Vector = hn::Vec<Tag>;

// A whole vector, or the `count` channels that are left.
struct WholeVector {
  HWY_INLINE Vector load(const float* from) const { return hn::LoadU(Tag(), from); }
  HWY_INLINE void store(Vector v, float* to) const { hn::StoreU(v, Tag(), to); }
};
struct PartOfVector {
  std::size_t count;
  HWY_INLINE Vector load(const float* from) const { return load_partial(Tag(), from, count); }
  HWY_INLINE void store(Vector v, float* to) const { store_partial(v, Tag(), to, count); }
};

// Adds the window's rows [any axis but the innermost] to the sums, for any window.
struct AnyWindow {
  template <std::size_t P, class Access>
  static HWY_INLINE void add_row(const DepthwiseSpan& s, const float* x, const float* w,
                                 Vector (&sum)[P], const Access& access) {
    for (std::size_t t = 0; t < s.taps[2]; ++t, x += s.x_step[2], w += s.channels) {
      const Vector weight = access.load(w);
#pragma GCC unroll 8
      for (std::size_t p = 0; p < P; ++p) {
        sum[p] = hn::MulAdd(access.load(x + p * s.output_step), weight, sum[p]);
      }
    }
  }
};

// The same for a whole width and a stride that are known: each input is loaded once for all outputs
// that see it.
template <std::size_t kWidth, std::size_t kStride>
struct KnownWindow {
  template <std::size_t P, class Access>
  static HWY_INLINE void add_row(const DepthwiseSpan& s, const float* x, const float* w,
                                 Vector (&sum)[P], const Access& access) {
    Vector weight[kWidth];
#pragma GCC unroll 5
    for (std::size_t t = 0; t < kWidth; ++t) weight[t] = access.load(w + t * s.channels);
#pragma GCC unroll 32
    for (std::size_t i = 0; i < (P - 1) * kStride + kWidth; ++i, x += s.channels) {
      const Vector v = access.load(x);
#pragma GCC unroll 8
      for (std::size_t p = 0; p < P; ++p) {
        if (i >= p * kStride && i < p * kStride + kWidth) {
          sum[p] = hn::MulAdd(v, weight[i - p * kStride], sum[p]);
        }
      }
    }
  }
};

// One vector of channels.
template <class Window, std::size_t P, class Access>
HWY_INLINE void channels(const DepthwiseSpan& s, std::size_t channel, const Access& access) {
  const Tag d;
  Vector sum[P];
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) sum[p] = hn::Zero(d);
  for (std::size_t a = 0; a < s.taps[0]; ++a) {
    const float* x = s.x + a * s.x_step[0] + channel;
    const float* w = s.weights + a * s.weight_step[0] + channel;
    for (std::size_t b = 0; b < s.taps[1]; ++b, x += s.x_step[1], w += s.weight_step[1]) {
      Window::template add_row<P>(s, x, w, sum, access);
    }
  }
  const Vector bias = s.bias != nullptr ? access.load(s.bias + channel) : hn::Zero(d);
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) sum[p] = hn::Add(sum[p], bias);
  if (s.residual != nullptr) {
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) {
      sum[p] = hn::Add(sum[p], access.load(s.residual + p * s.channels + channel));
    }
  }
  if (s.clamp) {
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) sum[p] = clip(d, sum[p], s.low, s.high);
  }
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) access.store(sum[p], s.y + p * s.channels + channel);
}

template <class Window, std::size_t P>
void span(const DepthwiseSpan& s) {
  constexpr std::size_t kLanes = hn::MaxLanes(Tag());
  std::size_t channel = 0;
  for (; channel + kLanes <= s.channels; channel += kLanes) {
    channels<Window, P>(s, channel, WholeVector());
  }
  if (channel < s.channels) channels<Window, P>(s, channel, PartOfVector{s.channels - channel});
}

template <class Window, std::size_t... P>
constexpr DepthwiseFunctions spans(std::index_sequence<P...>) {
  return {span<Window, P + 1>...};
}

const DepthwiseFunctions& depthwise_functions_of_target(std::size_t width, std::size_t stride) {
  using Counts = std::make_index_sequence<DepthwiseSpan::kMaxOutputs>;
  static constexpr DepthwiseFunctions kAny = spans<AnyWindow>(Counts());
  static constexpr DepthwiseFunctions kWidth3 = spans<KnownWindow<3, 1>>(Counts());
  static constexpr DepthwiseFunctions kWidth3Stride2 = spans<KnownWindow<3, 2>>(Counts());
  static constexpr DepthwiseFunctions kWidth5 = spans<KnownWindow<5, 1>>(Counts());
  static constexpr DepthwiseFunctions kWidth5Stride2 = spans<KnownWindow<5, 2>>(Counts());
  if (width == 3 && stride == 1) return kWidth3;
  if (width == 3 && stride == 2) return kWidth3Stride2;
  if (width == 5 && stride == 1) return kWidth5;
  if (width == 5 && stride == 2) return kWidth5Stride2;
  return kAny;
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {

HWY_EXPORT(depthwise_functions_of_target);

const DepthwiseFunctions& depthwise_functions(std::size_t width, std::size_t stride) {
  return HWY_DYNAMIC_DISPATCH(depthwise_functions_of_target)(width, stride);
}

}  // namespace kerf::engine
#endif
