#include "engine/memory_plan.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "engine/plan.h"
#include "kerf/error.h"

namespace kerf::engine {
namespace {

std::size_t aligned(std::size_t bytes) {
  constexpr std::size_t kMask = Plan::kAlignment - 1;
  if (bytes > std::numeric_limits<std::size_t>::max() - kMask) {
    throw Error(ErrorCode::kResourceExhausted, "a plan needs more memory than can be addressed");
  }
  return (bytes + kMask) & ~kMask;
}

bool alive_together(const Buffer& a, const Buffer& b) {
  return a.first <= b.last && b.first <= a.last;
}

// The start of the tightest gap for `buffer` between those of `placed`, which is sorted by offset,
// that live beside it.
std::size_t tightest_gap(std::span<const Buffer* const> placed, const Buffer& buffer) {
  const std::size_t need = aligned(buffer.bytes);
  std::size_t best = std::numeric_limits<std::size_t>::max();
  std::size_t best_size = std::numeric_limits<std::size_t>::max();
  std::size_t end = 0;
  for (const Buffer* other : placed) {
    if (!alive_together(*other, buffer)) continue;
    if (other->offset > end) {
      const std::size_t gap = other->offset - end;
      if (gap >= need && gap < best_size) {
        best = end;
        best_size = gap;
      }
    }
    end = std::max(end, other->offset + aligned(other->bytes));
  }
  return best_size == std::numeric_limits<std::size_t>::max() ? end : best;
}

}  // namespace

std::size_t lay_out(std::span<Buffer> buffers) {
  std::vector<std::size_t> order(buffers.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
    const Buffer& x = buffers[a];
    const Buffer& y = buffers[b];
    if (x.bytes != y.bytes) return x.bytes > y.bytes;
    if (x.first != y.first) return x.first < y.first;
    return a < b;
  });
  std::vector<const Buffer*> placed;
  placed.reserve(buffers.size());
  std::size_t total = 0;
  for (const std::size_t index : order) {
    Buffer& buffer = buffers[index];
    buffer.offset = tightest_gap(placed, buffer);
    std::size_t end = 0;
    if (__builtin_add_overflow(buffer.offset, aligned(buffer.bytes), &end)) {
      throw Error(ErrorCode::kResourceExhausted, "a plan needs more memory than can be addressed");
    }
    total = std::max(total, end);
    placed.insert(std::ranges::upper_bound(placed, buffer.offset, {}, &Buffer::offset), &buffer);
  }
  return total;
}

}  // namespace kerf::engine
