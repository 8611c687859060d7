#include "engine/kernels/window_rows.h"

#include <algorithm>

#include "engine/parallel.h"

namespace kerf::engine {
namespace {

constexpr double kBytesPerSecond = 1e10;  // at which pieces are put together

}  // namespace

WindowGeometry::WindowGeometry(const program::Window& window, const Shape& x, const Shape& y)
    : batch(static_cast<std::size_t>(x[0])) {
  for (std::size_t i = 0; i < window.rank; ++i) {
    const std::size_t axis = i + 3 - window.rank;
    size[axis] = static_cast<std::size_t>(x[i + 1]);
    output[axis] = static_cast<std::size_t>(y[i + 1]);
    kernel[axis] = static_cast<std::size_t>(window.size[i]);
    stride[axis] = window.strides[i];
    dilation[axis] = window.dilation[i];
    before[axis] = program::window_axis(window, i, x[i + 1]).before;
  }
}

std::int64_t WindowGeometry::cell(std::size_t axis, std::size_t o, std::size_t tap) const noexcept {
  const std::int64_t at = static_cast<std::int64_t>(o) * stride[axis] +
                          static_cast<std::int64_t>(tap) * dilation[axis] - before[axis];
  return at >= 0 && at < static_cast<std::int64_t>(size[axis]) ? at : -1;
}

WindowRows::WindowRows(const WindowGeometry& geometry, std::size_t channels, std::size_t depth)
    : geometry_(geometry), channels_(channels), input_rows_(geometry.size[0] * geometry.size[1]) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    for (std::size_t o = 0; o < geometry.output[axis]; ++o) {
      for (std::size_t tap = 0; tap < geometry.kernel[axis]; ++tap) {
        cells_[axis].push_back(geometry.cell(axis, o, tap));
      }
    }
  }
  const std::size_t width = geometry.kernel[2];
  const auto inside = [&](std::size_t o) {
    return geometry.cell(2, o, 0) >= 0 && geometry.cell(2, o, width - 1) >= 0;
  };
  for (std::size_t o = 0; o < geometry.output[2]; ++o) {
    if (!inside(o)) edges_.push_back(o);
  }
  // Not where the pieces at the edges would be a large copy of the input.
  const bool spanning = depth == channels && geometry.dilation[2] == 1 &&
                        edges_.size() * width <= 4 * geometry.size[2];
  if (spanning) {
    piece_ = width * depth;
    for (std::size_t o = 0, edge = 0; o < geometry.output[2]; ++o) {
      inner_.push_back(inside(o) ? geometry.cell(2, o, 0) * static_cast<std::int64_t>(channels)
                                 : -1 - static_cast<std::int64_t>(edge++));
    }
  } else {
    edges_.clear();
    piece_ = depth;
    inner_taps_ = width;
    for (std::size_t tap = 0; tap < width; ++tap) {
      for (std::size_t o = 0; o < geometry.output[2]; ++o) {
        const std::int64_t cell = geometry.cell(2, o, tap);
        inner_.push_back(cell < 0 ? -1 : cell * static_cast<std::int64_t>(channels));
      }
    }
  }
  zeros_.resize(piece_);
}

std::size_t WindowRows::row_bytes() const noexcept {
  const WindowGeometry& g = geometry();
  const std::size_t inputs = g.batch * g.size[0] * g.size[1] * g.size[2] * channels_;
  const std::size_t each = inputs / std::max<std::size_t>(g.outputs(), 1);
  return std::clamp<std::size_t>(each, 1, std::max<std::size_t>(taps() * piece_, 1)) *
         sizeof(float);
}

void WindowRows::prepare(const float* x, float* edges, ThreadPool* pool) const noexcept {
  if (edges_.empty()) return;
  const double seconds = static_cast<double>(edge_floats() * sizeof(float)) / kBytesPerSecond;
  const WindowGeometry& g = geometry();
  parallel_ranges(pool, g.batch * input_rows_, seconds, [&](std::size_t begin, std::size_t end) {
    float* to = edges + begin * edges_.size() * piece_;
    for (std::size_t row = begin; row < end; ++row) {
      const float* from = x + row * g.size[2] * channels_;
      for (const std::size_t o : edges_) {
        for (std::size_t tap = 0; tap < g.kernel[2]; ++tap, to += channels_) {
          const std::int64_t cell = g.cell(2, o, tap);
          if (cell < 0) {
            std::fill_n(to, channels_, 0.0F);
          } else {
            std::copy_n(from + static_cast<std::size_t>(cell) * channels_, channels_, to);
          }
        }
      }
    }
  });
}

void WindowRows::Source::operator()(std::size_t first, std::size_t count,
                                    const float** to) const noexcept {
  const WindowGeometry& g = rows.geometry();
  std::size_t line = first / g.output[2];
  std::size_t begin = first % g.output[2];
  for (std::size_t done = 0; done < count; ++line, begin = 0) {
    const std::size_t run = std::min(g.output[2] - begin, count - done);
    rows.line_pointers(*this, line, begin, run, to + done, count);
    done += run;
  }
}

void WindowRows::line_pointers(const Source& source, std::size_t line, std::size_t begin,
                               std::size_t run, const float** to,
                               std::size_t tap_stride) const noexcept {
  const WindowGeometry& g = geometry();
  const std::size_t o1 = line % g.output[1];
  const std::size_t o0 = line / g.output[1] % g.output[0];
  const std::size_t sample = line / g.output[1] / g.output[0];
  for (std::size_t t0 = 0; t0 < g.kernel[0]; ++t0) {
    const std::int64_t c0 = cells_[0][o0 * g.kernel[0] + t0];
    for (std::size_t t1 = 0; t1 < g.kernel[1]; ++t1) {
      const std::int64_t c1 = cells_[1][o1 * g.kernel[1] + t1];
      if (c0 < 0 || c1 < 0) {
        for (std::size_t t2 = 0; t2 < inner_taps_; ++t2, to += tap_stride) {
          std::fill_n(to, run, zeros_.data());
        }
        continue;
      }
      const std::size_t row = (sample * g.size[0] + static_cast<std::size_t>(c0)) * g.size[1] +
                              static_cast<std::size_t>(c1);
      const float* inside = source.x + row * g.size[2] * channels_;
      // Without pieces at the edges, every tap in padding has the offset -1.
      const float* edge =
          edges_.empty() ? zeros_.data() : source.edges + row * edges_.size() * piece_;
      const std::int64_t* offset = inner_.data() + begin;
      for (std::size_t t2 = 0; t2 < inner_taps_; ++t2) {
        for (std::size_t i = 0; i < run; ++i) {
          const std::int64_t at = offset[i];
          to[i] = at >= 0 ? inside + at : edge + (-1 - at) * static_cast<std::int64_t>(piece_);
        }
        offset += g.output[2];
        to += tap_stride;
      }
    }
  }
}

}  // namespace kerf::engine
