#include "engine/kernels/activate.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/activate.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/partial-inl.h"
#include "engine/kernels/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

struct Elements {
  const float* from;
  float* to;
  std::size_t count;

  template <class F>
  HWY_NOINLINE void operator()(const F& f) const {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    std::size_t i = 0;
    for (; i + lanes <= count; i += lanes) hn::StoreU(f(d, hn::LoadU(d, from + i)), d, to + i);
    if (i < count) {
      store_partial(f(d, load_partial(d, from + i, count - i)), d, to + i, count - i);
    }
  }
};

void activate(const program::Activation& f, const float* from, float* to, std::size_t count) {
  with_activation(f, Elements{from, to, count});
}

ActivateFunction activate_of_target() { return activate; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {

HWY_EXPORT(activate_of_target);

ActivateFunction activate_function() { return HWY_DYNAMIC_DISPATCH(activate_of_target)(); }

}  // namespace kerf::engine
#endif
