#include "serving/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

namespace kerf::serving {
namespace {

struct Counting final : Task {
  void run() noexcept override { ++*runs; }
  void drop() noexcept override { ++*drops; }
  std::atomic<int>* runs = nullptr;
  std::atomic<int>* drops = nullptr;
};

// Holds a worker until it is let go.
struct Waiting final : Task {
  void run() noexcept override {
    begun.count_down();
    release.wait();
  }
  void drop() noexcept override {}
  std::latch begun{1};
  std::latch release{1};
};

class WorkersTest : public testing::Test {
 protected:
  std::vector<Counting> tasks(std::size_t count) {
    std::vector<Counting> made(count);
    for (Counting& task : made) {
      task.runs = &runs_;
      task.drops = &drops_;
    }
    return made;
  }
  std::atomic<int> runs_ = 0;
  std::atomic<int> drops_ = 0;
};

TEST_F(WorkersTest, EveryTaskIsRunOrDropped) {
  std::vector<Counting> many = tasks(1000);
  {
    Workers workers(3, many.size());
    EXPECT_EQ(workers.count(), 3U);
    for (Counting& task : many) EXPECT_TRUE(workers.submit(task));
  }
  EXPECT_EQ(runs_ + drops_, 1000);
}

TEST_F(WorkersTest, AFullQueueRefusesAndAStopDropsWhatWaits) {
  Waiting waiting;
  std::vector<Counting> few = tasks(3);
  Workers workers(1, 2);
  ASSERT_TRUE(workers.submit(waiting));
  waiting.begun.wait();
  EXPECT_TRUE(workers.submit(few[0]));
  EXPECT_TRUE(workers.submit(few[1]));
  EXPECT_FALSE(workers.submit(few[2]));
  std::thread stopping([&] { workers.stop(); });
  while (drops_ != 2) std::this_thread::yield();
  waiting.release.count_down();
  stopping.join();
  EXPECT_EQ(runs_, 0);
  EXPECT_FALSE(workers.submit(few[2]));
}

TEST_F(WorkersTest, RunWhatIsSubmitted) {
  std::vector<Counting> many = tasks(200);
  Workers workers(2, many.size());
  for (Counting& task : many) ASSERT_TRUE(workers.submit(task));
  while (runs_ != 200) std::this_thread::yield();
  EXPECT_EQ(drops_, 0);
}

}  // namespace
}  // namespace kerf::serving
