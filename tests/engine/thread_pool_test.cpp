#include "engine/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "engine/parallel.h"

namespace kerf::engine {
namespace {

TEST(ThreadPool, CallsEachIndexOnce) {
  for (const unsigned threads : {1U, 2U, 5U}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.thread_count(), threads);
    for (const std::size_t count : {0U, 1U, 2U, 3U, 100U, 5000U}) {
      const auto calls = std::make_unique<std::atomic<int>[]>(count + 1);
      parallel_for(&pool, count, [&](std::size_t i) { ++calls[i]; });
      for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(calls[i], 1);
    }
  }
}

TEST(ThreadPool, RunsOnTheCallerWithoutAPool) {
  const std::thread::id caller = std::this_thread::get_id();
  std::size_t sum = 0;
  parallel_for(nullptr, 5, [&](std::size_t i) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    sum += i;
  });
  EXPECT_EQ(sum, 10U);
}

// What the last helper wrote is seen when parallel_for returns.
TEST(ThreadPool, ManyCallersShareIt) {
  ThreadPool pool(3);
  constexpr std::size_t kCallers = 8;
  std::vector<std::thread> callers;
  std::atomic<int> wrong{0};
  for (std::size_t caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&pool, &wrong, caller] {
      for (std::size_t round = 0; round < 300; ++round) {
        std::vector<std::size_t> results((caller + round) % 37);
        parallel_for(&pool, results.size(), [&](std::size_t i) { results[i] = i * round + 1; });
        for (std::size_t i = 0; i < results.size(); ++i) {
          if (results[i] != i * round + 1) ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : callers) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(ThreadPool, NestsWithoutWaitingForItself) {
  ThreadPool pool(3);
  std::atomic<int> calls{0};
  parallel_for(&pool, 16,
               [&](std::size_t) { parallel_for(&pool, 16, [&](std::size_t) { ++calls; }); });
  EXPECT_EQ(calls, 256);
}

// A caller is done although the only helper is busy with something that never ends on its own.
TEST(ThreadPool, ProgressesAloneWhileHelpersAreBusy) {
  ThreadPool pool(2);
  std::atomic<bool> release{false};
  std::atomic<int> inside{0};
  std::thread other([&] {
    parallel_for(&pool, 2, [&](std::size_t) {
      ++inside;
      while (!release) std::this_thread::yield();
    });
  });
  while (inside == 0) std::this_thread::yield();
  int calls = 0;
  std::atomic<int> shared{0};
  parallel_for(&pool, 1, [&](std::size_t) { ++calls; });
  release = inside == 2;  // else the helper is still free, and may take part below
  parallel_for(&pool, 50, [&](std::size_t) { ++shared; });
  release = true;
  other.join();
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(shared, 50);
}

// As many runs as threads: nobody works for anybody else.
TEST(ThreadPool, LeavesEachRunToItsThreadWhereThereAreAsManyAsThreads) {
  ThreadPool pool(3);
  const ThreadPool::Run first(&pool);
  const ThreadPool::Run second(&pool);
  const ThreadPool::Run third(&pool);
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> elsewhere{0};
  for (int round = 0; round < 100; ++round) {
    parallel_for(&pool, 20, [&](std::size_t) {
      if (std::this_thread::get_id() != caller) ++elsewhere;
    });
  }
  EXPECT_EQ(elsewhere, 0);
}

TEST(ThreadPool, WakesHelpersThatSleep) {
  ThreadPool pool(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> inside{0};
    // Ends only if all three threads come.
    parallel_for(&pool, 3, [&](std::size_t) {
      ++inside;
      while (inside < 3) std::this_thread::yield();
    });
    EXPECT_EQ(inside, 3);
  }
}

TEST(ThreadPool, ComesAndGoes) {
  for (int round = 0; round < 50; ++round) {
    ThreadPool pool(4);
    std::atomic<int> calls{0};
    if (round % 2 == 0) parallel_for(&pool, 8, [&](std::size_t) { ++calls; });
    EXPECT_EQ(calls, round % 2 == 0 ? 8 : 0);
  }
}

TEST(ParallelRanges, CoversAllOnceAtMultiplesOfTheGrain) {
  ThreadPool pool(4);
  for (const std::size_t items : {0U, 1U, 63U, 64U, 65U, 1000U, 4096U}) {
    for (const double seconds : {0.0, 1e-4, 1.0}) {
      const auto calls = std::make_unique<std::atomic<int>[]>(items + 1);
      parallel_ranges(
          &pool, items, seconds,
          [&](std::size_t begin, std::size_t end) {
            EXPECT_EQ(begin % 16, 0U);
            EXPECT_LE(begin, end);
            for (std::size_t i = begin; i < end; ++i) ++calls[i];
          },
          16);
      for (std::size_t i = 0; i < items; ++i) EXPECT_EQ(calls[i], 1);
    }
  }
}

TEST(ParallelRanges, KeepsLittleWorkTogether) {
  ThreadPool pool(4);
  EXPECT_EQ(parts_of(&pool, 1000, kMinimumPartSeconds), 1U);
  EXPECT_EQ(parts_of(nullptr, 1000, 1.0), 1U);
  EXPECT_EQ(parts_of(&pool, 3, 1.0), 3U);
  EXPECT_GE(parts_of(&pool, 1000, 1.0), 4U);
  EXPECT_LE(parts_of(&pool, 1000, 4 * kMinimumPartSeconds), 4U);
}

}  // namespace
}  // namespace kerf::engine
