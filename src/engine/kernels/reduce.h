#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"

namespace kerf::engine {

// The loops of a reduction: over the axes of the operand that stay, and over those that go.
struct ReduceLoops {
  LoopNest<1> kept;
  LoopNest<1> reduced;

  ReduceLoops(std::span<const std::int64_t> axes, const Shape& shape) {
    std::array<std::size_t, Shape::kMaxRank> strides{};
    std::size_t stride = 1;
    for (std::size_t i = shape.rank(); i-- > 0; stride *= static_cast<std::size_t>(shape[i])) {
      strides[i] = stride;
    }
    for (std::size_t i = 0; i < shape.rank(); ++i) {
      const bool goes = std::ranges::find(axes, static_cast<std::int64_t>(i)) != axes.end();
      (goes ? reduced : kept).add(static_cast<std::size_t>(shape[i]), {strides[i]});
    }
    kept.finish();
    reduced.finish();
  }
};

// Sums, means and extremes of float32, vectorised.
KernelPtr make_float_reduce(const program::Reduce& op, const KernelSpec& spec);

}  // namespace kerf::engine
