#include "engine/kernels/depthwise_span.h"

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

// Outputs that are computed together, and the weights of a window, fit into registers.
constexpr std::size_t kBlock = HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_NEON ? 8 : 4;

template <std::size_t P, class Access>
HWY_INLINE void finish(const DepthwiseSpan& s, std::size_t first, std::size_t channel,
                       Vector (&sum)[P], const Access& access) {
  const Tag d;
  const std::size_t at = first * s.cell + channel;
  const Vector bias = s.bias != nullptr ? access.load(s.bias + channel) : hn::Zero(d);
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) sum[p] = hn::Add(sum[p], bias);
  if (s.residual != nullptr) {
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) {
      sum[p] = hn::Add(sum[p], access.load(s.residual + at + p * s.cell));
    }
  }
  if (s.clamp) {
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) sum[p] = clip(d, sum[p], s.low, s.high);
  }
#pragma GCC unroll 8
  for (std::size_t p = 0; p < P; ++p) access.store(sum[p], s.y + at + p * s.cell);
}

// Any window: one vector of channels of P outputs.
struct AnyWindow {
  template <class Access>
  struct Weights {
    HWY_INLINE Weights(const DepthwiseSpan& /*s*/, std::size_t /*channel*/, const Access& /*a*/) {}
  };

  template <std::size_t P, class Access>
  static HWY_INLINE void block(const DepthwiseSpan& s, const Weights<Access>& /*weights*/,
                               std::size_t first, std::size_t channel, const Access& access) {
    Vector sum[P];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) sum[p] = hn::Zero(Tag());
    for (std::size_t a = 0; a < s.taps[0]; ++a) {
      for (std::size_t b = 0; b < s.taps[1]; ++b) {
        const float* x = s.x + first * s.output_step + a * s.x_step[0] + b * s.x_step[1] + channel;
        const float* w = s.weights + a * s.weight_step[0] + b * s.weight_step[1] + channel;
        for (std::size_t t = 0; t < s.taps[2]; ++t, x += s.x_step[2], w += s.cell) {
          const Vector weight = access.load(w);
#pragma GCC unroll 8
          for (std::size_t p = 0; p < P; ++p) {
            sum[p] = hn::MulAdd(access.load(x + p * s.output_step), weight, sum[p]);
          }
        }
      }
    }
    finish(s, first, channel, sum, access);
  }
};

// One row of a window of known width: each input is loaded once for all outputs that see it.
template <std::size_t kStride, std::size_t kWidth, std::size_t P, class Access>
HWY_INLINE void add_row(const DepthwiseSpan& s, const float* x, const Vector (&weights)[kWidth],
                        Vector (&sum)[P], const Access& access) {
#pragma GCC unroll 32
  for (std::size_t i = 0; i < (P - 1) * kStride + kWidth; ++i, x += s.cell) {
    Vector v = access.load(x);
    keep_loaded(v);
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) {
      if (i >= p * kStride && i < p * kStride + kWidth) {
        sum[p] = hn::MulAdd(v, weights[i - p * kStride], sum[p]);
      }
    }
  }
}

// A window of known size, whose weights stay in registers for all outputs.
template <std::size_t kRows, std::size_t kWidth, std::size_t kStride>
struct KnownWindow {
  template <class Access>
  struct Weights {
    HWY_INLINE Weights(const DepthwiseSpan& s, std::size_t channel, const Access& access) {
#pragma GCC unroll 5
      for (std::size_t r = 0; r < kRows; ++r) {
#pragma GCC unroll 5
        for (std::size_t t = 0; t < kWidth; ++t) {
          w[r][t] = access.load(s.weights + r * s.weight_step[1] + t * s.cell + channel);
        }
      }
    }
    Vector w[kRows][kWidth];
  };

  template <std::size_t P, class Access>
  static HWY_INLINE void block(const DepthwiseSpan& s, const Weights<Access>& weights,
                               std::size_t first, std::size_t channel, const Access& access) {
    Vector sum[P];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) sum[p] = hn::Zero(Tag());
    const float* x = s.x + first * s.output_step + channel;
#pragma GCC unroll 5
    for (std::size_t r = 0; r < kRows; ++r, x += s.x_step[1]) {
      add_row<kStride>(s, x, weights.w[r], sum, access);
    }
    finish(s, first, channel, sum, access);
  }
};

// A window of known width, row by row: for wide ones, whose weights do not fit into registers.
template <std::size_t kWidth, std::size_t kStride>
struct KnownWidth {
  template <class Access>
  using Weights = AnyWindow::Weights<Access>;

  template <std::size_t P, class Access>
  static HWY_INLINE void block(const DepthwiseSpan& s, const Weights<Access>& /*weights*/,
                               std::size_t first, std::size_t channel, const Access& access) {
    Vector sum[P];
#pragma GCC unroll 8
    for (std::size_t p = 0; p < P; ++p) sum[p] = hn::Zero(Tag());
    const float* x = s.x + first * s.output_step + channel;
    const float* w = s.weights + channel;
    for (std::size_t r = 0; r < s.taps[1]; ++r, x += s.x_step[1], w += s.weight_step[1]) {
      Vector weights[kWidth];
#pragma GCC unroll 5
      for (std::size_t t = 0; t < kWidth; ++t) weights[t] = access.load(w + t * s.cell);
      add_row<kStride>(s, x, weights, sum, access);
    }
    finish(s, first, channel, sum, access);
  }
};

template <class Window, class Access>
HWY_INLINE void channels(const DepthwiseSpan& s, std::size_t channel, const Access& access) {
  const typename Window::template Weights<Access> weights(s, channel, access);
  std::size_t o = 0;
  for (; o + kBlock <= s.outputs; o += kBlock) {
    Window::template block<kBlock>(s, weights, o, channel, access);
  }
  if constexpr (kBlock > 4) {
    if (o + 4 <= s.outputs) {
      Window::template block<4>(s, weights, o, channel, access);
      o += 4;
    }
  }
  if (o + 2 <= s.outputs) {
    Window::template block<2>(s, weights, o, channel, access);
    o += 2;
  }
  if (o < s.outputs) Window::template block<1>(s, weights, o, channel, access);
}

template <class Window>
void span(const DepthwiseSpan& s) {
  constexpr std::size_t kLanes = hn::MaxLanes(Tag());
  std::size_t channel = 0;
  for (; channel + kLanes <= s.channels; channel += kLanes) {
    channels<Window>(s, channel, WholeVector());
  }
  if (channel < s.channels) channels<Window>(s, channel, PartOfVector{s.channels - channel});
}

DepthwiseFunction known(std::size_t rows, std::size_t width, std::size_t stride) {
  if (width == 2 && stride == 1 && rows == 2) return span<KnownWindow<2, 2, 1>>;
  if (width == 2 && stride == 1 && rows == 3) return span<KnownWindow<3, 2, 1>>;
  if (width == 3 && stride == 1 && rows == 2) return span<KnownWindow<2, 3, 1>>;
  if (width == 3 && stride == 1 && rows == 3) return span<KnownWindow<3, 3, 1>>;
  if (width == 3 && stride == 2 && rows == 2) return span<KnownWindow<2, 3, 2>>;
  if (width == 3 && stride == 2 && rows == 3) return span<KnownWindow<3, 3, 2>>;
  if (width == 5 && stride == 1) return span<KnownWidth<5, 1>>;
  if (width == 5 && stride == 2) return span<KnownWidth<5, 2>>;
  return span<AnyWindow>;
}

const DepthwiseFunctions& depthwise_functions_of_target() {
  static constexpr DepthwiseFunctions kFunctions{.any = span<AnyWindow>, .known = known};
  return kFunctions;
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {

HWY_EXPORT(depthwise_functions_of_target);

const DepthwiseFunctions& depthwise_functions() {
  return HWY_DYNAMIC_DISPATCH(depthwise_functions_of_target)();
}

}  // namespace kerf::engine
#endif
