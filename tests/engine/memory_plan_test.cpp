#include "engine/memory_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <vector>

#include "engine/plan.h"
#include "kerf/error.h"

namespace kerf::engine {
namespace {

std::size_t aligned(std::size_t bytes) {
  return (bytes + Plan::kAlignment - 1) / Plan::kAlignment * Plan::kAlignment;
}

// What lives at the busiest step: no layout needs less.
std::size_t lower_bound(const std::vector<Buffer>& buffers) {
  std::size_t steps = 0;
  for (const Buffer& buffer : buffers) steps = std::max(steps, buffer.last + 1);
  std::size_t bound = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    std::size_t alive = 0;
    for (const Buffer& buffer : buffers) {
      if (buffer.first <= step && step <= buffer.last) alive += aligned(buffer.bytes);
    }
    bound = std::max(bound, alive);
  }
  return bound;
}

void expect_valid(const std::vector<Buffer>& buffers, std::size_t total) {
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const Buffer& a = buffers[i];
    EXPECT_EQ(a.offset % Plan::kAlignment, 0U);
    EXPECT_LE(a.offset + a.bytes, total);
    for (std::size_t j = 0; j < i; ++j) {
      const Buffer& b = buffers[j];
      const bool together = a.first <= b.last && b.first <= a.last;
      const bool apart = a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset;
      EXPECT_TRUE(!together || apart) << "buffers " << i << " and " << j;
    }
  }
}

TEST(MemoryPlan, NothingNeedsNothing) { EXPECT_EQ(lay_out({}), 0U); }

TEST(MemoryPlan, ChainTakesTurns) {
  std::vector<Buffer> buffers;
  for (std::size_t i = 0; i < 20; ++i) buffers.push_back({.bytes = 640, .first = i, .last = i + 1});
  const std::size_t total = lay_out(buffers);
  expect_valid(buffers, total);
  EXPECT_EQ(total, 2 * 640U);
}

TEST(MemoryPlan, RandomLifetimesStayCloseToTheLowerBound) {
  std::mt19937 random(1);
  double ratios = 0;
  constexpr int kRounds = 200;
  for (int round = 0; round < kRounds; ++round) {
    const std::size_t steps = 2 + random() % 60;
    std::vector<Buffer> buffers;
    for (std::size_t i = 0; i < 3 * steps / 2; ++i) {
      const std::size_t first = random() % steps;
      const std::size_t length = random() % 4 == 0 ? random() % steps : random() % 3;
      buffers.push_back(
          {.bytes = random() % 8 == 0 ? random() % 50 : std::size_t{1} << random() % 20,
           .first = first,
           .last = std::min(first + length, steps - 1)});
    }
    const std::size_t total = lay_out(buffers);
    expect_valid(buffers, total);
    ratios += static_cast<double>(total) / static_cast<double>(lower_bound(buffers));
  }
  EXPECT_LT(ratios / kRounds, 1.05);
}

TEST(MemoryPlan, ResidualNetworkMeetsTheLowerBound) {
  // Blocks of two steps whose input lives on beside them, shrinking as images do.
  std::vector<Buffer> buffers;
  for (std::size_t block = 0; block < 16; ++block) {
    const std::size_t bytes = (std::size_t{1} << 22U) >> (block / 4);
    const std::size_t step = block * 3;
    buffers.push_back({.bytes = bytes, .first = step, .last = step + 3});
    buffers.push_back({.bytes = bytes / 4, .first = step + 1, .last = step + 2});
    buffers.push_back({.bytes = bytes / 4, .first = step + 2, .last = step + 3});
  }
  const std::size_t total = lay_out(buffers);
  expect_valid(buffers, total);
  EXPECT_EQ(total, lower_bound(buffers));
}

TEST(MemoryPlan, RefusesSizesThatOverflow) {
  constexpr std::size_t kHuge = std::numeric_limits<std::size_t>::max();
  std::vector<Buffer> one{{.bytes = kHuge, .first = 0, .last = 0}};
  EXPECT_THROW(lay_out(one), Error);
  std::vector<Buffer> two{{.bytes = kHuge / 2, .first = 0, .last = 1},
                          {.bytes = kHuge / 2, .first = 0, .last = 1},
                          {.bytes = kHuge / 2, .first = 1, .last = 1}};
  EXPECT_THROW(lay_out(two), Error);
}

}  // namespace
}  // namespace kerf::engine
