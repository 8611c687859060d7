#include "serving/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
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
using testing::UnorderedElementsAre;

std::shared_ptr<const ServedModel> golden(const std::string& name, const Limits& limits = {},
                                          const ModelSettings& settings = {}) {
  return std::make_shared<const ServedModel>(
      name, "1",
      Model::load(std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden" / (name + ".keras")),
      limits, settings);
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
              UnorderedElementsAre("a", "b late", "c cancelled", "d"));
}

// Waits for one call.
struct Finished final : Completion {
  void finished(Call& /*call*/) noexcept override { semaphore.release(); }
  std::binary_semaphore semaphore{0};
};

// Calls of the recommender, with made up samples.
class CallTest : public testing::Test {
 protected:
  static constexpr std::int64_t kFeatures = 10;
  // Sample number i of all.
  static float feature(std::int64_t sample, std::int64_t i) {
    return static_cast<float>((sample * 37 + i * 11) % 23) * 0.1F - 1;
  }
  static float segment(std::int64_t sample) { return static_cast<float>(sample % 50); }

  // A call of so many samples from number `first` on, ready to run.
  void prepare(Call& call, std::int64_t first = 0, std::int64_t rows = 2) const {
    call.begin(model_);
    call.feed("Features", Shape{rows, kFeatures});
    call.feed("Segment", Shape{rows, 1});
    if (!call.find_target()) call.make_target();
    call.allocate();
    const std::vector<Tensor> feeds{features(first, rows), segments(first, rows)};
    for (std::size_t i = 0; i < feeds.size(); ++i) {
      const Tensor feed = feeds[i].cast(call.feeds()[i].dtype);
      std::memcpy(call.feed_memory(i), feed.data(), feed.byte_size());
    }
  }
  // As each sample gives alone.
  void expect_result(const Call& call, std::int64_t first = 0, std::int64_t rows = 2) const {
    ASSERT_FALSE(call.error()) << call.error()->what();
    const auto* got = reinterpret_cast<const float*>(call.fetched(0));
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::vector<Tensor> feeds{segments(first + row, 1), features(first + row, 1)};
      const Tensor expected = whole_.run(feeds)[0];
      for (const float value : expected.as<float>()) {
        EXPECT_NEAR(*got++, value, 1e-6 * std::abs(value) + 1e-7) << "sample " << first + row;
      }
    }
  }
  StatisticsCounts counts() const { return model_->statistics().front()->statistics.read(); }

  std::shared_ptr<const ServedModel> model_ = golden("recommender");
  const Cut whole_ = model_->model().whole();

 private:
  static Tensor features(std::int64_t first, std::int64_t rows) {
    std::vector<float> numbers;
    for (std::int64_t row = first; row < first + rows; ++row) {
      for (std::int64_t i = 0; i < kFeatures; ++i) numbers.push_back(feature(row, i));
    }
    return Tensor::floats(Shape{rows, kFeatures}, numbers);
  }
  static Tensor segments(std::int64_t first, std::int64_t rows) {
    std::vector<float> numbers;
    for (std::int64_t row = first; row < first + rows; ++row) numbers.push_back(segment(row));
    return Tensor::floats(Shape{rows, 1}, numbers);
  }
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

// Calls that all wait when the one worker comes for them.
class BatchTest : public CallTest {
 protected:
  struct One final : Completion {
    void finished(Call& /*call*/) noexcept override { end->count_down(); }
    Call call;
    std::latch* end = nullptr;
  };
  // Runs calls of so many rows each, one after the other's samples, put together by a scheduler.
  std::vector<std::unique_ptr<One>> run(
      const std::vector<std::int64_t>& rows,
      const std::function<void(std::size_t, Call&)>& change = {}) {
    std::latch end(static_cast<std::ptrdiff_t>(rows.size()));
    std::vector<std::unique_ptr<One>> calls;
    Holding holding;
    Scheduler scheduler(1, {});
    scheduler.submit(holding, nullptr);
    holding.begun.wait();
    std::int64_t first = 0;
    for (const std::int64_t count : rows) {
      One& one = *calls.emplace_back(std::make_unique<One>());
      one.end = &end;
      prepare(one.call, first, count);
      if (change) change(calls.size() - 1, one.call);
      EXPECT_TRUE(scheduler.submit(one.call, one));
      first += count;
    }
    holding.release.count_down();
    end.wait();
    return calls;
  }
};

TEST_F(BatchTest, WhatWaitsRunsTogether) {
  const std::vector<std::int64_t> rows(8, 1);
  const auto calls = run(rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    expect_result(calls[i]->call, static_cast<std::int64_t>(i), 1);
  }
  EXPECT_EQ(counts().runs(), 1U);
  EXPECT_EQ(counts().rows.sum, 8U);
  EXPECT_EQ(counts().requests[0], 8U);
  EXPECT_EQ(counts().queue.count(), 8U);
}

TEST_F(BatchTest, CallsOfManyRowsArePadded) {
  const std::vector<std::int64_t> rows{5, 1, 7, 5};  // 18 of 24
  const auto calls = run(rows);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    expect_result(calls[i]->call, first, rows[i]);
    first += rows[i];
  }
  EXPECT_EQ(counts().runs(), 1U);
}

TEST_F(BatchTest, NoMoreThanTheMostRowsRunTogether) {
  model_ = golden("recommender", {}, {.batching = {.max_rows = 4}});
  const std::vector<std::int64_t> rows{1, 1, 1, 1, 1, 9, 1};
  const auto calls = run(rows);
  std::int64_t first = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    expect_result(calls[i]->call, first, rows[i]);
    first += rows[i];
  }
  EXPECT_EQ(counts().runs(), 4U);  // 4, 1, 9, 1
}

TEST_F(BatchTest, WrongDataFailsItsOwnCallOnly) {
  const auto calls = run({1, 1, 1}, [](std::size_t i, Call& call) {
    if (i == 1) {
      const std::int32_t outside = 1041;
      std::memcpy(call.feed_memory(1), &outside, sizeof(outside));
    }
  });
  expect_result(calls[0]->call, 0, 1);
  ASSERT_TRUE(calls[1]->call.error());
  EXPECT_THAT(calls[1]->call.error()->what(), HasSubstr("1041"));
  expect_result(calls[2]->call, 2, 1);
  EXPECT_EQ(counts().requests[static_cast<std::size_t>(Outcome::kOk)], 2U);
  EXPECT_EQ(counts().requests[static_cast<std::size_t>(Outcome::kInvalidArgument)], 1U);
}

TEST_F(BatchTest, LateAndCancelledOnesDoNotRun) {
  const auto calls = run({1, 1, 1}, [](std::size_t i, Call& call) {
    if (i == 0) call.deadline = Clock::now() - 1ms;
    if (i == 1) call.cancel();
  });
  ASSERT_TRUE(calls[0]->call.error());
  EXPECT_EQ(calls[0]->call.error()->code(), ErrorCode::kDeadlineExceeded);
  EXPECT_TRUE(calls[1]->call.error());
  expect_result(calls[2]->call, 2, 1);
  EXPECT_EQ(counts().requests[static_cast<std::size_t>(Outcome::kDeadlineExceeded)], 1U);
  EXPECT_EQ(counts().requests[static_cast<std::size_t>(Outcome::kCancelled)], 1U);
}

TEST_F(BatchTest, ADelayWaitsForOthers) {
  model_ = golden("recommender", {}, {.batching = {.max_rows = 3, .delay = 1h}});
  std::latch end(3);
  std::vector<One> calls(3);
  Scheduler scheduler(2, {});
  for (std::size_t i = 0; i < calls.size(); ++i) {
    calls[i].end = &end;
    prepare(calls[i].call, static_cast<std::int64_t>(i), 1);
    ASSERT_TRUE(scheduler.submit(calls[i].call, calls[i]));
  }
  end.wait();  // as many as may run together: no need to wait an hour
  EXPECT_EQ(counts().runs(), 1U);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    expect_result(calls[i].call, static_cast<std::int64_t>(i), 1);
  }
}

TEST_F(BatchTest, ManyThreadsSubmitAndGetTheirOwn) {
  Scheduler scheduler(2, {});
  std::vector<std::thread> threads;
  for (std::int64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Call call;
      Finished finished;
      for (std::int64_t i = 0; i < 50; ++i) {
        const std::int64_t rows = 1 + (i + t) % 3;
        prepare(call, t * 100 + i, rows);
        if (i % 5 == 0) call.deadline = Clock::now() + 1h;
        ASSERT_TRUE(scheduler.submit(call, finished));
        finished.semaphore.acquire();
        expect_result(call, t * 100 + i, rows);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counts().requests[0], 200U);
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
