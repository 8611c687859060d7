#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "serving/job.h"

namespace kerf::serving {

class Batch;
class ModelQueues;

// Jobs of one model version that wait for a worker, in the order they came within each priority:
// any jobs, which are run one by one, or calls of one batch. What they are for is fixed; the rest
// is guarded by the lock of the scheduler that they are submitted to.
class Queue {
 public:
  explicit Queue(ModelQueues& model, Batch* batch = nullptr) : model_(model), batch_(batch) {
    for (Tier& tier : tiers_) tier.queue = this;
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  ModelQueues& model() const noexcept { return model_; }
  // Of the calls; null for jobs that are run one by one.
  Batch* batch() const noexcept { return batch_; }

 private:
  friend class Scheduler;
  friend class ModelQueues;
  struct Tier {
    Queue* queue = nullptr;
    Fifo<Job> jobs;
    bool listed = false;  // with its model: jobs wait, or did until a batch took them along
    Tier* next_ = nullptr;
  };
  ModelQueues& model_;
  Batch* batch_;
  std::int64_t rows_ = 0;  // of all calls of a batch that wait
  std::array<Tier, kPriorities> tiers_;
};

// The queues of one model version: they take turns with each other, and the model with the other
// models, so that nobody's flood keeps others waiting for more than their turn.
class ModelQueues {
 public:
  explicit ModelQueues(std::size_t length) : length_(length), alone_(*this) {
    for (Tier& tier : tiers_) tier.model = this;
  }
  ModelQueues(const ModelQueues&) = delete;
  ModelQueues& operator=(const ModelQueues&) = delete;

  // For jobs that are run one by one.
  Queue& alone() noexcept { return alone_; }
  // How many jobs wait, at this moment. Any thread.
  std::size_t waiting() const noexcept { return waiting_.load(std::memory_order_relaxed); }
  std::size_t length() const noexcept { return length_; }

 private:
  friend class Scheduler;
  struct Tier {
    ModelQueues* model = nullptr;
    Fifo<Queue::Tier> queues;
    bool listed = false;  // with the scheduler, because a queue is listed here
    Tier* next_ = nullptr;
  };
  std::size_t length_;
  std::atomic<std::size_t> waiting_ = 0;  // written under the scheduler's lock
  std::array<Tier, kPriorities> tiers_;
  Queue alone_;
};

}  // namespace kerf::serving
