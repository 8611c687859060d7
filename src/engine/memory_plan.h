#pragma once

#include <cstddef>
#include <span>

namespace kerf::engine {

// A block of workspace memory, and the steps of a plan between which it holds something.
struct Buffer {
  std::size_t bytes = 0;
  std::size_t first = 0;  // the step that writes it
  std::size_t last = 0;   // the last step that reads it, >= first
  std::size_t offset = 0;
};

// Chooses the offsets, multiples of Plan::kAlignment, so that no two buffers that live at one step
// overlap, and the total, which is returned, is small: largest first, each into the tightest gap.
// Throws Error(kResourceExhausted) where sizes overflow.
std::size_t lay_out(std::span<Buffer> buffers);

}  // namespace kerf::engine
