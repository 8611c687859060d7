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
  std::size_t rows;
  std::size_t columns;
  std::size_t stride;

  template <class F>
  HWY_NOINLINE void operator()(const F& f) const {
    const hn::ScalableTag<float> d;
    const std::size_t lanes = hn::Lanes(d);
    for (std::size_t row = 0; row < rows; ++row) {
      const float* x = from + row * stride;
      float* y = to + row * stride;
      std::size_t i = 0;
      for (; i + lanes <= columns; i += lanes) hn::StoreU(f(d, hn::LoadU(d, x + i)), d, y + i);
      if (i < columns) {
        store_partial(f(d, load_partial(d, x + i, columns - i)), d, y + i, columns - i);
      }
    }
  }
};

HWY_NOINLINE void apply(const program::Activation& f, const Elements& elements) {
  with_activation(f, elements);
}

void activate(const program::Activation& f, const float* from, float* to, std::size_t count) {
  apply(f, Elements{from, to, 1, count, 0});
}

void activate_block(const program::Activation& f, float* block, std::size_t rows,
                    std::size_t columns, std::size_t stride) {
  apply(f, Elements{block, block, rows, columns, stride});
}

ActivateFunction activate_of_target() { return activate; }
ActivateBlockFunction activate_block_of_target() { return activate_block; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace kerf::engine {

HWY_EXPORT(activate_of_target);
HWY_EXPORT(activate_block_of_target);

ActivateFunction activate_function() { return HWY_DYNAMIC_DISPATCH(activate_of_target)(); }
ActivateBlockFunction activate_block_function() {
  return HWY_DYNAMIC_DISPATCH(activate_block_of_target)();
}

}  // namespace kerf::engine
#endif
