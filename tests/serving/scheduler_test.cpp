#include "serving/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <latch>
#include <memory>
#include <mutex>
#include <semaphore>
#include <thread>
#include <vector>

namespace kerf::serving {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

std::shared_ptr<const ServedModel> golden(const std::string& name, const Limits& limits = {}) {
  return std::make_shared<const ServedModel>(
      name, "1",
      Model::load(std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden" / (name + ".keras")),
      limits);
}

// Holds a worker until it is let go.
struct Holding final : Job {
  void run() noexcept override {
    begun.count_down();
    release.wait();
  }
  void drop(Reason /*reason*/) noexcept override {}
  std::latch begun{1};
  std::latch release{1};
};

// Writes down what becomes of it.
struct Noted final : Job {
  Noted(std::string given, std::vector<std::string>& list, std::latch& all)
      : name(std::move(given)), notes(list), end(all) {}
  void run() noexcept override {
    notes.push_back(name);
    end.count_down();
  }
  void drop(Reason reason) noexcept override {
    notes.push_back(name + (reason == Reason::kDeadline    ? " late"
                            : reason == Reason::kCancelled ? " cancelled"
                                                           : " stopped"));
    end.count_down();
  }
  std::string name;
  std::vector<std::string>& notes;  // used by the one worker
  std::latch& end;
};

struct Counting final : Job {
  void run() noexcept override { ++*runs; }
  void drop(Reason /*reason*/) noexcept override { ++*drops; }
  std::atomic<int>* runs = nullptr;
  std::atomic<int>* drops = nullptr;
};

TEST(Scheduler, EveryJobIsRunOrDropped) {
  std::atomic<int> runs = 0;
  std::atomic<int> drops = 0;
  std::vector<Counting> many(1000);
  {
    Scheduler scheduler(3, {});
    EXPECT_EQ(scheduler.worker_count(), 3U);
    for (Counting& job : many) {
      job.runs = &runs;
      job.drops = &drops;
      EXPECT_TRUE(scheduler.submit(job, nullptr));
    }
  }
  EXPECT_EQ(runs + drops, 1000);
}

TEST(Scheduler, AFullQueueRefusesAndAStopDropsWhatWaits) {
  std::atomic<int> runs = 0;
  std::atomic<int> drops = 0;
  Holding holding;
  std::vector<Counting> few(3);
  for (Counting& job : few) {
    job.runs = &runs;
    job.drops = &drops;
  }
  Scheduler scheduler(1, {.queue_length = 2});
  ASSERT_TRUE(scheduler.submit(holding, nullptr));
  holding.begun.wait();
  EXPECT_TRUE(scheduler.submit(few[0], nullptr));
  EXPECT_TRUE(scheduler.submit(few[1], nullptr));
  EXPECT_FALSE(scheduler.submit(few[2], nullptr));
  std::thread stopping([&] { scheduler.stop(); });
  while (drops != 2) std::this_thread::yield();
  holding.release.count_down();
  stopping.join();
  EXPECT_EQ(runs, 0);
  EXPECT_FALSE(scheduler.submit(few[2], nullptr));
}

// One worker, held until all jobs of a test wait.
class OneWorkerTest : public testing::Test {
 protected:
  struct Wanted {
    std::string name;
    const ServedModel* model = nullptr;
    Priority priority = Priority::kNormal;
    Clock::time_point deadline = Clock::time_point::max();
    bool cancelled = false;
  };
  // What becomes of jobs, in which order.
  std::vector<std::string> order(const std::vector<Wanted>& wanted) {
    std::vector<std::string> notes;
    std::latch end(static_cast<std::ptrdiff_t>(wanted.size()));
    Holding holding;
    std::vector<std::unique_ptr<Noted>> jobs;
    Scheduler scheduler(1, {});
    scheduler.submit(holding, nullptr);
    holding.begun.wait();
    for (const Wanted& one : wanted) {
      jobs.push_back(std::make_unique<Noted>(one.name, notes, end));
      jobs.back()->priority = one.priority;
      jobs.back()->deadline = one.deadline;
      if (one.cancelled) jobs.back()->cancel();
      EXPECT_TRUE(scheduler.submit(*jobs.back(), one.model));
    }
    holding.release.count_down();
    end.wait();
    return notes;
  }

  std::shared_ptr<const ServedModel> flooded_ = golden("recommender");
  std::shared_ptr<const ServedModel> other_ = golden("conv1d");
};

TEST_F(OneWorkerTest, ModelsTakeTurns) {
  EXPECT_THAT(order({{"a1", flooded_.get()},
                     {"a2", flooded_.get()},
                     {"a3", flooded_.get()},
                     {"a4", flooded_.get()},
                     {"b1", other_.get()},
                     {"b2", other_.get()}}),
              ElementsAre("a1", "b1", "a2", "b2", "a3", "a4"));
}

TEST_F(OneWorkerTest, PrioritiesComeFirst) {
  EXPECT_THAT(order({{"low", flooded_.get(), Priority::kLow},
                     {"normal", flooded_.get()},
                     {"high", other_.get(), Priority::kHigh},
                     {"high too", flooded_.get(), Priority::kHigh}}),
              ElementsAre("high", "high too", "normal", "low"));
}

TEST_F(OneWorkerTest, WhatNobodyWaitsForIsNotBegun) {
  EXPECT_THAT(order({{"a", flooded_.get()},
                     {.name = "b", .model = flooded_.get(), .deadline = Clock::now() - 1ms},
                     {.name = "c", .model = flooded_.get(), .cancelled = true},
                     {.name = "d", .model = flooded_.get(), .deadline = Clock::now() + 1h}}),
              ElementsAre("a", "b late", "c cancelled", "d"));
}

// Waits for one call.
struct Finished final : Completion {
  void finished(Call& /*call*/) noexcept override { semaphore.release(); }
  std::binary_semaphore semaphore{0};
};

class CallTest : public testing::Test {
 protected:
  // A call of two samples of the recommender, ready to run.
  void prepare(Call& call) const {
    call.begin(model_);
    call.feed("Features", Shape{2, 10});
    call.feed("Segment", Shape{2, 1});
    if (!call.find_target()) call.make_target();
    call.allocate();
    const std::vector<Tensor> feeds{features_, segment_};
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const Tensor feed = feeds[i].cast(call.feeds()[i].dtype);
      std::memcpy(call.feed_memory(i), feed.data(), feed.byte_size());
    }
  }
  void expect_result(const Call& call) const {
    ASSERT_FALSE(call.error()) << call.error()->what();
    const std::vector<Tensor> feeds{segment_, features_};  // the model's order
    const Tensor expected = model_->model().whole().run(feeds)[0];
    ASSERT_EQ(Call::byte_size(call.fetches()[0]), expected.byte_size());
    EXPECT_EQ(std::memcmp(call.fetched(0), expected.data(), expected.byte_size()), 0);
  }

  std::shared_ptr<const ServedModel> model_ = golden("recommender");
  std::vector<float> numbers_ = [] {
    std::vector<float> made(20);
    for (std::size_t i = 0; i < made.size(); ++i) made[i] = static_cast<float>(i) * 0.1F - 1;
    return made;
  }();
  Tensor features_ = Tensor::floats(Shape{2, 10}, numbers_);
  Tensor segment_ = Tensor::floats(Shape{2, 1}, std::vector<float>{1, 0});
};

TEST_F(CallTest, ComputesWhatACutDoes) {
  Scheduler scheduler(1, {});
  Call call;
  Finished finished;
  for (int i = 0; i < 3; ++i) {
    prepare(call);
    EXPECT_TRUE(scheduler.admits(call));
    scheduler.run(call);
    expect_result(call);
    prepare(call);
    ASSERT_TRUE(scheduler.submit(call, finished));
    finished.semaphore.acquire();
    expect_result(call);
  }
}

TEST_F(CallTest, SaysThatItsTimeWasOver) {
  Scheduler scheduler(1, {});
  Call call;
  Finished finished;
  prepare(call);
  call.deadline = Clock::now() - 1ms;
  ASSERT_TRUE(scheduler.submit(call, finished));
  finished.semaphore.acquire();
  ASSERT_TRUE(call.error());
  EXPECT_EQ(call.error()->code(), ErrorCode::kDeadlineExceeded);
  prepare(call);  // forgets it
  ASSERT_TRUE(scheduler.submit(call, finished));
  finished.semaphore.acquire();
  expect_result(call);
}

TEST_F(CallTest, RefusesWhatCannotBeAsked) {
  Call call;
  call.begin(golden("recommender", {.tensor_elements = 100, .tensors_per_call = 2}));
  EXPECT_THROW(call.feed("Features", (Shape{11, 10})), Error);
  call.feed("Features", Shape{1, 10});
  EXPECT_THROW(call.feed("Features", (Shape{1, 10})), Error);
  call.feed("Segment", Shape{1, 1});
  EXPECT_THROW(call.feed("flat", (Shape{1, 1})), Error);
}

TEST_F(CallTest, KeepsTheModelUntilItIsCleared) {
  std::weak_ptr<const ServedModel> watched;
  Call call;
  {
    const auto model = golden("recommender");
    watched = model;
    call.begin(model);
  }
  EXPECT_FALSE(watched.expired());
  call.clear();
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace kerf::serving
