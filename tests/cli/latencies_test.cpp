#include "cli/latencies.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace kerf::cli {
namespace {

TEST(Latencies, HasNothingToSayAtFirst) {
  const Latencies none;
  EXPECT_EQ(none.count(), 0U);
  EXPECT_EQ(none.quantile(0.5), 0);
  EXPECT_EQ(none.mean(), 0);
}

TEST(Latencies, IsExactForTheSmallest) {
  Latencies latencies;
  for (std::uint64_t i = 0; i < 32; ++i) latencies.add(i);
  for (std::uint64_t i = 0; i < 32; ++i) {
    EXPECT_EQ(latencies.quantile(static_cast<double>(i) / 31.0), static_cast<double>(i));
  }
}

TEST(Latencies, QuantilesAgreeWithASortedListWithinThreePercent) {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> spread(8, 2);
  Latencies latencies;
  Latencies half;
  std::vector<double> sorted;
  for (int i = 0; i < 10000; ++i) {
    const auto value = static_cast<std::uint64_t>(spread(random));
    (i % 2 == 0 ? latencies : half).add(value);
    sorted.push_back(static_cast<double>(value));
  }
  latencies.add(half);
  std::ranges::sort(sorted);
  EXPECT_EQ(latencies.count(), sorted.size());
  EXPECT_EQ(static_cast<double>(latencies.max()), sorted.back());
  for (const double q : {0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const double exact = sorted[static_cast<std::size_t>(q * 9999)];
    EXPECT_NEAR(latencies.quantile(q), exact, 0.032 * exact + 1) << q;
  }
}

TEST(Latencies, HoldsTheLongest) {
  Latencies latencies;
  latencies.add(std::numeric_limits<std::uint64_t>::max());
  EXPECT_GT(latencies.quantile(1), 1.7e19);
}

}  // namespace
}  // namespace kerf::cli
