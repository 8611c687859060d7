#include "serving/scheduler.h"

#include <algorithm>

namespace kerf::serving {

Lane lane_of(const Plan& plan) noexcept {
  // A hop to a worker and back costs some 20 us of CPU, and the I/O thread's other connections wait
  // no longer than this.
  constexpr double kHopSeconds = 100e-6;
  // Below this, waking helpers costs more than they save.
  constexpr double kSplitSeconds = 1e-3;
  const double seconds = plan.estimated_seconds();
  if (seconds < kHopSeconds) return Lane::kCaller;
  return seconds < kSplitSeconds ? Lane::kWorker : Lane::kSplit;
}

Scheduler::Scheduler(unsigned workers, const Limits& limits)
    : limits_(limits), others_(limits.queue_length) {
  if (workers == 0) workers = std::max(1U, std::thread::hardware_concurrency());
  threads_.reserve(workers);
  for (unsigned i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
}

void Scheduler::run(Call& call) noexcept {
  // Helpers are threads beside the workers: they are for a run that has the machine to itself.
  const bool split = call.target().lane == Lane::kSplit && busy_.load() <= 1;
  call.compute(split ? &helpers_ : nullptr);
}

bool Scheduler::admits(const Call& call) const noexcept {
  if (call.target().lane == Lane::kCaller) return true;
  const ModelQueues& model = call.target().queue->model();
  return model.waiting() < model.length() &&
         waiting_bytes_.load(std::memory_order_relaxed) < limits_.queue_bytes;
}

bool Scheduler::submit(Call& call, Completion& completion) noexcept {
  call.scheduler_ = this;
  call.completion_ = &completion;
  return enqueue(call, *call.target().queue, call.tensor_bytes());
}

bool Scheduler::submit(Job& job, const ServedModel* model) noexcept {
  return enqueue(job, model != nullptr ? model->queues().alone() : others_.alone(), 0);
}

bool Scheduler::enqueue(Job& job, Queue& queue, std::size_t bytes) noexcept {
  job.queued_at_ = Clock::now();
  job.bytes_ = bytes;
  const auto priority = static_cast<std::size_t>(job.priority);
  ModelQueues& model = queue.model();
  {
    const std::lock_guard lock(mutex_);
    const std::size_t waiting = model.waiting();
    const std::size_t waiting_bytes = waiting_bytes_.load(std::memory_order_relaxed);
    if (ending_ || waiting >= model.length()) return false;
    // One that is too large for any queue still has its turn when nothing else waits.
    if (waiting_bytes != 0 && waiting_bytes + bytes > limits_.queue_bytes) return false;
    model.waiting_.store(waiting + 1, std::memory_order_relaxed);
    waiting_bytes_.store(waiting_bytes + bytes, std::memory_order_relaxed);
    Queue::Tier& tier = queue.tiers_[priority];
    tier.jobs.push(job);
    if (!tier.listed) {
      tier.listed = true;
      ModelQueues::Tier& model_tier = model.tiers_[priority];
      model_tier.queues.push(tier);
      if (!model_tier.listed) {
        model_tier.listed = true;
        models_[priority].push(model_tier);
      }
    }
  }
  wake_.notify_one();
  return true;
}

Job* Scheduler::take() noexcept {
  for (std::size_t priority = 0; priority < kPriorities; ++priority) {
    if (models_[priority].empty()) continue;
    ModelQueues::Tier& model_tier = models_[priority].pop();
    Queue::Tier& tier = model_tier.queues.pop();
    Job& job = tier.jobs.pop();
    // Whoever has more to do is last now.
    tier.listed = !tier.jobs.empty();
    if (tier.listed) model_tier.queues.push(tier);
    model_tier.listed = !model_tier.queues.empty();
    if (model_tier.listed) models_[priority].push(model_tier);
    ModelQueues& model = *model_tier.model;
    model.waiting_.store(model.waiting() - 1, std::memory_order_relaxed);
    waiting_bytes_.store(waiting_bytes_.load(std::memory_order_relaxed) - job.bytes_,
                         std::memory_order_relaxed);
    return &job;
  }
  return nullptr;
}

void Scheduler::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    Job* job = nullptr;
    wake_.wait(lock, [&] { return ending_ || (job = take()) != nullptr; });
    if (job == nullptr) return;
    lock.unlock();
    if (job->cancelled()) {
      job->drop(Job::Reason::kCancelled);
    } else if (job->deadline != Clock::time_point::max() && job->deadline < Clock::now()) {
      job->drop(Job::Reason::kDeadline);
    } else {
      busy_.fetch_add(1);
      job->run();
      busy_.fetch_sub(1);
    }
    lock.lock();
  }
}

void Scheduler::stop() {
  Fifo<Job> waiting;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    while (Job* job = take()) waiting.push(*job);
  }
  wake_.notify_all();
  while (!waiting.empty()) waiting.pop().drop(Job::Reason::kStopping);
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace kerf::serving
