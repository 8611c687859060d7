#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

// The geometry of pooling, shared by the code of every target.
namespace kerf::engine {

// The cells of one axis that the windows of its outputs cover, clipped to the input.
struct PoolAxis {
  std::int64_t input = 1;
  std::int64_t output = 1;
  std::int64_t size = 1;
  std::int64_t stride = 1;
  std::int64_t dilation = 1;
  std::int64_t before = 0;

  struct Taps {
    std::int64_t first;  // the first cell inside the input
    std::int64_t count;
  };
  Taps taps(std::int64_t position) const noexcept {
    const std::int64_t origin = position * stride - before;
    const std::int64_t skipped = origin < 0 ? (-origin + dilation - 1) / dilation : 0;
    const std::int64_t fitting =
        input > origin ? (input - origin + dilation - 1) / dilation : std::int64_t{0};
    return {.first = origin + skipped * dilation,
            .count = std::max<std::int64_t>(std::min(fitting, size) - skipped, 0)};
  }
};

// Windows of one to three axes over channels-last data; fewer axes are the inner ones of three.
struct PoolGeometry {
  std::int64_t channels = 1;
  std::array<PoolAxis, 3> axes;

  // Outputs are computed in rows along the last axis.
  std::int64_t rows_per_sample() const noexcept { return axes[0].output * axes[1].output; }
};

}  // namespace kerf::engine
