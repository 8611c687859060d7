// Loads and stores of less than a vector, which never touch memory beyond the lanes they name.
// Compiled once per target.
#if defined(KERF_PARTIAL_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef KERF_PARTIAL_INL_H_
#undef KERF_PARTIAL_INL_H_
#else
#define KERF_PARTIAL_INL_H_
#endif

#include <cstddef>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

// Targets whose masked loads and stores do not fault on masked lanes.
inline constexpr bool kMasked = HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3;

// The first `count` lanes from memory, zeros behind them. 0 <= count <= Lanes(d).
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::VFromD<D> load_partial(D d, const float* from, std::size_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (kMasked) {
    return hn::MaskedLoad(hn::FirstN(d, count), d, from);
  } else {
    HWY_ALIGN float lanes[hn::MaxLanes(D())] = {};
    for (std::size_t i = 0; i < count; ++i) lanes[i] = from[i];
    return hn::Load(d, lanes);
  }
}

template <class D>
HWY_INLINE void store_partial(hwy::HWY_NAMESPACE::VFromD<D> v, D d, float* to, std::size_t count) {
  namespace hn = hwy::HWY_NAMESPACE;
  if constexpr (kMasked) {
    hn::BlendedStore(v, hn::FirstN(d, count), d, to);
  } else {
    HWY_ALIGN float lanes[hn::MaxLanes(D())];
    hn::Store(v, d, lanes);
    for (std::size_t i = 0; i < count; ++i) to[i] = lanes[i];
  }
}

// Keeps a loaded vector that is used several times in a register: gcc would rather load it again as
// the operand of each use, and loads are what runs out first.
template <class V>
HWY_INLINE void keep_loaded([[maybe_unused]] V& v) {
#if HWY_ARCH_X86 && HWY_COMPILER_GCC_ACTUAL
  asm("" : "+v"(v.raw));
#endif
}

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
