#include "serving/feature_cache.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "serving/scheduler.h"

namespace kerf::serving {
namespace {

using Features = std::array<std::byte, 8>;

Features features(int value) {
  Features made{};
  made[0] = static_cast<std::byte>(value);
  return made;
}

TEST(FeatureCache, FindsWhatWasPut) {
  FeatureCache cache(1 << 20);
  Features found{};
  EXPECT_FALSE(cache.find("row", found));
  cache.put("row", features(1));
  EXPECT_TRUE(cache.find("row", found));
  EXPECT_EQ(found, features(1));
  EXPECT_FALSE(cache.find("ro", found));
  EXPECT_FALSE(cache.find("rows", found));
}

TEST(FeatureCache, StaysWithinItsMemoryAndKeepsWhatWasUsedLast) {
  FeatureCache cache(2000);
  Features found{};
  cache.put("kept", features(1));
  for (int i = 0; i < 100; ++i) {
    cache.put("row " + std::to_string(i), features(2));
    ASSERT_TRUE(cache.find("kept", found)) << i;
    EXPECT_LE(cache.bytes(), 2000U);
  }
  EXPECT_FALSE(cache.find("row 0", found));
  EXPECT_TRUE(cache.find("row 99", found));
  cache.put(std::string(3000, 'x'), features(3));  // larger than all of it
  EXPECT_TRUE(cache.find("kept", found));
}

TEST(FeatureCache, ManyThreadsUseIt) {
  FeatureCache cache(5000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Features found{};
      for (int i = 0; i < 2000; ++i) {
        const std::string row = std::to_string(i % 40);
        if (cache.find(row, found)) {
          EXPECT_EQ(found, features(i % 40));
        } else {
          cache.put(row, features(i % 40));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// The recommender, whose hidden layer's tensor is kept.
class CachedCutTest : public testing::Test {
 protected:
  static constexpr std::int64_t kFeatures = 10;

  void prepare(Call& call, const std::vector<std::int64_t>& samples,
               const std::vector<std::string_view>& fetches) const {
    const auto rows = static_cast<std::int64_t>(samples.size());
    call.begin(model_);
    call.feed("Features", Shape{rows, kFeatures});
    call.feed("Segment", Shape{rows, 1});
    for (const std::string_view fetch : fetches) call.fetch(fetch);
    if (!call.find_target()) call.make_target();
    call.allocate();
    const std::vector<Tensor> feeds = tensors(samples);
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const Tensor feed = feeds[i].cast(call.feeds()[i].dtype);
      std::memcpy(call.feed_memory(i), feed.data(), feed.byte_size());
    }
  }
  static std::vector<Tensor> tensors(const std::vector<std::int64_t>& samples) {
    std::vector<float> numbers;
    std::vector<float> segments;
    for (const std::int64_t sample : samples) {
      for (std::int64_t i = 0; i < kFeatures; ++i) {
        numbers.push_back(static_cast<float>((sample * 7 + i) % 13) * 0.2F - 1);
      }
      segments.push_back(static_cast<float>(sample % 50));
    }
    const auto rows = static_cast<std::int64_t>(samples.size());
    return {Tensor::floats(Shape{rows, kFeatures}, numbers),
            Tensor::floats(Shape{rows, 1}, segments)};
  }
  // As the model as a whole gives it.
  void expect_same(const std::vector<std::int64_t>& samples,
                   const std::vector<std::string_view>& fetches) {
    Call call;
    prepare(call, samples, fetches);
    Scheduler scheduler(1, {});
    scheduler.run(call);
    ASSERT_FALSE(call.error()) << call.error()->what();
    const std::vector<std::string> feeds{"Features", "Segment"};
    const std::vector<std::string> wanted(fetches.begin(), fetches.end());
    const std::vector<Tensor> expected = model_->model().cut(feeds, wanted).run(tensors(samples));
    ASSERT_EQ(call.fetches().size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto* got = reinterpret_cast<const float*>(call.fetched(i));
      for (const float value : expected[i].as<float>()) {
        EXPECT_NEAR(*got++, value, 1e-6 * std::abs(value) + 1e-7);
      }
    }
  }
  StatisticsCounts counts() const {
    StatisticsCounts sum;
    for (const auto& cut : model_->statistics()) {
      const StatisticsCounts counts = cut->statistics.read();
      sum.cache_hits += counts.cache_hits;
      sum.cache_misses += counts.cache_misses;
    }
    return sum;
  }

  std::shared_ptr<const ServedModel> model_ = std::make_shared<const ServedModel>(
      "recommender", "1",
      Model::load(std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden/recommender.keras"),
      Limits{},
      ModelSettings{.batching = {},
                    .cuts = {{.name = "hidden",
                              .feeds = {},
                              .fetches = {"dense_hidden"},
                              .cache_bytes = 1 << 20}}});
};

TEST_F(CachedCutTest, GoesOnFromWhatIsKept) {
  expect_same({1, 2, 3}, {});
  EXPECT_EQ(counts().cache_misses, 3U);
  expect_same({3, 4, 1, 5, 2}, {});
  EXPECT_EQ(counts().cache_hits, 3U);
  EXPECT_EQ(counts().cache_misses, 5U);
  // The cut itself, and another cut behind it, share what is kept.
  expect_same({5, 1}, {"dense_hidden"});
  EXPECT_EQ(counts().cache_hits, 5U);
  expect_same({4, 6}, {"dense_final"});
  EXPECT_EQ(counts().cache_hits, 6U);
  EXPECT_EQ(counts().cache_misses, 6U);
}

TEST_F(CachedCutTest, IsLeftAloneByWhatDoesNotFollowFromIt) {
  expect_same({1, 2}, {"Embedding-Segment", "dense_hidden"});
  EXPECT_EQ(counts().cache_hits + counts().cache_misses, 0U);
}

}  // namespace
}  // namespace kerf::serving
