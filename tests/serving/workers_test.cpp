#include "serving/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <vector>

namespace kerf::serving {
namespace {

struct Counting final : Task {
  void run() noexcept override { ++*runs; }
  std::atomic<int>* runs = nullptr;
};

// Holds a worker until it is let go.
struct Waiting final : Task {
  void run() noexcept override {
    begun.count_down();
    release.wait();
  }
  std::latch begun{1};
  std::latch release{1};
};

TEST(Workers, RunEverythingThatWasSubmitted) {
  std::atomic<int> runs = 0;
  std::vector<Counting> tasks(1000);
  {
    Workers workers(3, tasks.size());
    EXPECT_EQ(workers.count(), 3U);
    for (Counting& task : tasks) {
      task.runs = &runs;
      EXPECT_TRUE(workers.submit(task));
    }
  }
  EXPECT_EQ(runs, 1000);
}

TEST(Workers, RefuseWhatTheQueueHasNoRoomFor) {
  std::atomic<int> runs = 0;
  Waiting waiting;
  std::vector<Counting> tasks(3);
  for (Counting& task : tasks) task.runs = &runs;
  Workers workers(1, 2);
  ASSERT_TRUE(workers.submit(waiting));
  waiting.begun.wait();
  EXPECT_TRUE(workers.submit(tasks[0]));
  EXPECT_TRUE(workers.submit(tasks[1]));
  EXPECT_FALSE(workers.submit(tasks[2]));
  waiting.release.count_down();
  workers.stop();
  EXPECT_EQ(runs, 2);
  EXPECT_FALSE(workers.submit(tasks[2]));
}

}  // namespace
}  // namespace kerf::serving
