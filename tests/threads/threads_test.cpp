#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <string>
#include <thread>
#include <vector>

#include "kerf/model.h"
#include "tensor/npy.h"

// Any number of threads run full, head and tail predictions of several models while others load
// models and compile new cuts; every result is bit for bit what one thread computes. Also run under
// ThreadSanitizer.
namespace kerf {
namespace {

constexpr std::size_t kRunners = 64;
constexpr std::size_t kCompilers = 4;
constexpr std::size_t kRounds = 12;

struct Job {
  Cut cut;
  std::vector<Tensor> feeds;
  std::vector<Tensor> expected;
};

bool same(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) {
    return x.shape() == y.shape() && std::ranges::equal(x.bytes(), y.bytes());
  });
}

std::filesystem::path data(const std::string& file) {
  return std::filesystem::path(KERF_SOURCE_DIR) / "tests/data/golden" / file;
}

struct Subject {
  Model model;
  std::vector<Tensor> inputs;

  explicit Subject(const std::string& name) : model(Model::load(data(name + ".keras"))) {
    for (auto& [key, array] : read_npz(data(name + ".npz"))) {
      if (key.starts_with("input_")) inputs.push_back(array);
    }
  }

  // Makes both halves of the cut at the model's n-th cut point, and runs them.
  std::vector<Tensor> tail_of_head(std::size_t n) const {
    const std::vector<std::string> at{model.cut_points().at(n).tensor.name};
    return model.cut(at, {}).run(model.cut({}, at).run(inputs));
  }

  // The whole model, and a head and a tail that meet at a tensor in its middle.
  std::vector<Job> jobs() const {
    const std::vector<CutPoint> points = model.cut_points();
    const std::vector<std::string> middle{points.at(points.size() / 2).tensor.name};
    std::vector<Job> result{{model.whole(), inputs, {}}, {model.cut({}, middle), inputs, {}}};
    const std::vector<Tensor> features = result[1].cut.run(inputs);
    result.push_back({model.cut(middle, {}), features, {}});
    for (Job& job : result) job.expected = job.cut.run(job.feeds);
    return result;
  }
};

class ThreadsTest : public testing::Test {
 protected:
  ThreadsTest() {
    for (const char* name : {"recommender", "small_cnn", "seq_mlp_leaky", "residual_cnn"}) {
      subjects_.emplace_back(name);
      for (Job& job : subjects_.back().jobs()) jobs_.push_back(std::move(job));
      tails_.emplace_back();
      for (std::size_t n = 0; n < subjects_.back().model.cut_points().size(); ++n) {
        tails_.back().push_back(subjects_.back().tail_of_head(n));
      }
    }
  }

  std::vector<Subject> subjects_;
  std::vector<Job> jobs_;
  std::vector<std::vector<std::vector<Tensor>>> tails_;  // by subject and cut point
};

TEST_F(ThreadsTest, SixtyFourThreadsGiveWhatOneGives) {
  const Threads pool(4);
  std::atomic<std::size_t> wrong{0};
  std::atomic<std::size_t> done{0};
  std::atomic<std::size_t> compiled{0};
  std::barrier start(kRunners + kCompilers);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kRunners; ++t) {
    threads.emplace_back([&, t] {
      Workspace workspace;
      start.arrive_and_wait();
      for (std::size_t round = 0; round < kRounds; ++round) {
        const Job& job = jobs_[(t + round) % jobs_.size()];
        if (round % 3 == 0) {  // split over the pool that all share
          if (!same(job.cut.run(job.feeds, &pool), job.expected)) ++wrong;
        } else if (round % 3 == 1) {
          if (!same(job.cut.run(job.feeds), job.expected)) ++wrong;
        } else {  // as a server does: a plan, and memory of its own
          std::vector<Shape> shapes;
          for (const Tensor& feed : job.feeds) shapes.push_back(feed.shape());
          const Plan plan = job.cut.plan(shapes);
          std::vector<const void*> feeds;
          for (const Tensor& feed : job.feeds) feeds.push_back(feed.data());
          std::vector<std::vector<std::byte>> results;
          std::vector<void*> fetches;
          for (const Tensor& tensor : job.expected) {
            fetches.push_back(results.emplace_back(tensor.byte_size()).data());
          }
          plan.run(feeds, fetches, workspace);
          for (std::size_t i = 0; i < results.size(); ++i) {
            if (!std::ranges::equal(results[i], job.expected[i].bytes())) ++wrong;
          }
        }
        ++done;
      }
    });
  }
  for (std::size_t t = 0; t < kCompilers; ++t) {
    threads.emplace_back([&, t] {
      start.arrive_and_wait();
      for (std::size_t n = t; compiled < kCompilers || done < kRunners * kRounds; ++n) {
        const Subject& subject = subjects_[n % subjects_.size()];
        const std::vector<std::vector<Tensor>>& tails = tails_[n % subjects_.size()];
        const std::size_t point = n / subjects_.size() % tails.size();
        if (!same(subject.tail_of_head(point), tails[point])) ++wrong;
        ++compiled;
        // Another copy of a model may come and go at any time.
        if (n % 4 == 0) Subject("seq_mlp_leaky").jobs();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
  EXPECT_EQ(done, kRunners * kRounds);
  EXPECT_GE(compiled, kCompilers);
}

// Threads that meet a shape nobody asked for before compile it at once; all get the same answers.
TEST_F(ThreadsTest, NewShapesMayBeAskedForByAllAtOnce) {
  const Subject& subject = subjects_.front();
  const Cut cut = subject.model.whole();
  std::vector<Tensor> inputs;
  for (const Tensor& input : subject.inputs) {
    Shape one = input.shape();
    one[0] = 1;
    inputs.push_back(Tensor::copy_of(
        input.dtype(), one,
        input.bytes().first(input.byte_size() / static_cast<std::size_t>(input.shape()[0]))));
  }
  const std::vector<Tensor> expected = subject.model.whole().run(inputs);
  std::atomic<std::size_t> wrong{0};
  std::barrier start(16);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 16; ++t) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      if (!same(cut.run(inputs), expected)) ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace kerf
