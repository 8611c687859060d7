#include "serving/statistics.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace kerf::serving {
namespace {

using namespace std::chrono_literals;

TEST(Statistics, TimesFallIntoTheBucketWhoseBoundIsNotBelowThem) {
  for (std::size_t bucket = 0; bucket < TimeScale::kBounds; ++bucket) {
    const auto bound = static_cast<std::uint64_t>(TimeScale::upper(bucket) * 1e9 + 0.5);
    EXPECT_EQ(TimeScale::bucket_of(bound), bucket);
    EXPECT_EQ(TimeScale::bucket_of(bound + 1), bucket + 1);
  }
  EXPECT_EQ(TimeScale::bucket_of(0), 0U);
  EXPECT_EQ(TimeScale::bucket_of(~std::uint64_t{0}), TimeScale::kBounds);
}

TEST(Statistics, RowsFallIntoTheBucketWhoseBoundIsNotBelowThem) {
  for (std::size_t bucket = 0; bucket < RowScale::kBounds; ++bucket) {
    const auto bound = static_cast<std::uint64_t>(RowScale::upper(bucket));
    EXPECT_EQ(RowScale::bucket_of(bound), bucket);
    EXPECT_EQ(RowScale::bucket_of(bound + 1), bucket + 1);
  }
}

TEST(Statistics, CountsWhatManyThreadsCount) {
  Statistics statistics;
  std::vector<std::thread> threads;
  for (int t = 0; t < 20; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        statistics.count_request(i % 10 == 0 ? Outcome::kUnavailable : Outcome::kOk);
        statistics.count_run(10us, 3);
      }
      statistics.count_wait(1ms);
      statistics.count_cache(2, 5);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const StatisticsCounts counts = statistics.read();
  EXPECT_EQ(counts.requests[0], 18000U);
  EXPECT_EQ(counts.errors(), 2000U);
  EXPECT_EQ(counts.runs(), 20000U);
  EXPECT_EQ(counts.compute.sum, 200'000'000U);
  EXPECT_EQ(counts.compute.buckets[1], 20000U);
  EXPECT_EQ(counts.rows.sum, 60000U);
  EXPECT_EQ(counts.queue.count(), 20U);
  EXPECT_EQ(counts.cache_hits, 40U);
  EXPECT_EQ(counts.cache_misses, 100U);
}

}  // namespace
}  // namespace kerf::serving
