#include "layers/patches.h"

#include <algorithm>
#include <utility>

namespace kerf::layers {
namespace {

// x with the cells of padding that the window needs.
ValueId padded(LayerCall& call, ValueId x, const program::Window& window, std::string_view key) {
  program::Pad pad{.before = std::vector<std::int64_t>(window.rank + 2, 0),
                   .after = std::vector<std::int64_t>(window.rank + 2, 0)};
  for (std::size_t i = 0; i < window.rank; ++i) {
    const std::int64_t size = call.shape(x)[i + 1];
    if (size == Shape::kUnknown) {
      call.config().unsupported(key, "padding needs an input of a known size");
    }
    const program::WindowAxis axis = program::window_axis(window, i, size);
    const std::int64_t reach =
        (axis.output - 1) * window.strides[i] + (window.size[i] - 1) * window.dilation[i] + 1;
    pad.before[i + 1] = axis.before;
    pad.after[i + 1] = std::max<std::int64_t>(reach - size - axis.before, 0);
  }
  return call.ops().append(std::move(pad), {x});
}

}  // namespace

ValueId patches(LayerCall& call, ValueId x, const program::Window& window, std::string_view key) {
  std::int64_t cells = 1;
  constexpr std::int64_t kMostCells = 1024;
  for (std::size_t i = 0; i < window.rank; ++i) {
    cells = std::min(cells, kMostCells + 1) * window.size[i];
  }
  if (cells > kMostCells) call.config().unsupported(key, "the window has too many cells");
  if (window.padding != program::Padding::kValid) x = padded(call, x, window, key);
  std::vector<ValueId> seen;
  for (std::int64_t cell = 0; cell < cells; ++cell) {
    ValueId part = x;
    std::int64_t rest = cell;
    for (std::size_t i = window.rank; i-- > 0;) {
      const std::int64_t at = rest % window.size[i];
      rest /= window.size[i];
      // As many cells are left behind the last place as the window has behind this one.
      const std::int64_t behind = (window.size[i] - 1 - at) * window.dilation[i];
      program::Slice slice{.axis = static_cast<std::int64_t>(i) + 1,
                           .begin = at * window.dilation[i],
                           .end = {},
                           .step = window.strides[i]};
      if (behind > 0) slice.end = -behind;
      part = call.ops().append(slice, {part});
    }
    seen.push_back(part);
  }
  return seen.size() == 1 ? seen.front() : call.ops().append(program::Concat{-1}, std::move(seen));
}

}  // namespace kerf::layers
