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

const Threads* Scheduler::helpers_for(const Plan& plan) const noexcept {
  // Helpers are threads beside the workers: they are for a run that has the machine to itself.
  const bool alone = busy_.load(std::memory_order_relaxed) <= 1;
  return alone && lane_of(plan) == Lane::kSplit ? &helpers_ : nullptr;
}

void Scheduler::run(Call& call) noexcept { call.compute(helpers_for(call.target().plan)); }

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
    if (queue.batch() != nullptr) queue.rows_ += static_cast<Call&>(job).target().rows;
    if (job.deadline != Clock::time_point::max()) ++timed_;
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

void Scheduler::forget(const Job& job, Queue& queue) noexcept {
  ModelQueues& model = queue.model();
  model.waiting_.store(model.waiting() - 1, std::memory_order_relaxed);
  waiting_bytes_.store(waiting_bytes_.load(std::memory_order_relaxed) - job.bytes_,
                       std::memory_order_relaxed);
  if (queue.batch() != nullptr) queue.rows_ -= static_cast<const Call&>(job).target().rows;
  if (job.deadline != Clock::time_point::max()) --timed_;
}

// Whether the first of these may begin, or else when.
bool Scheduler::is_due(const Queue::Tier& tier, Clock::time_point now) noexcept {
  const Batch* batch = tier.queue->batch();
  if (batch == nullptr || batch->delay().count() == 0 || ending_) return true;
  if (tier.queue->rows_ >= batch->max_rows()) return true;
  const Clock::time_point due = tier.jobs.front()->queued_at() + batch->delay();
  if (due <= now) return true;
  next_due_ = std::min(next_due_, due);
  return false;
}

// How many of the calls from this tier on, lower ones included, run together.
std::size_t Scheduler::batch_size(const Queue& queue, std::size_t priority) noexcept {
  const std::int64_t most = queue.batch()->max_rows();
  std::size_t count = 0;
  std::int64_t rows = 0;
  std::size_t fitting = 0;  // so many calls are exactly a bucket
  std::int64_t fitting_rows = 0;
  for (; priority < kPriorities; ++priority) {
    for (const Job* job = queue.tiers_[priority].jobs.front(); job != nullptr;
         job = Fifo<Job>::after(*job)) {
      const std::int64_t more = static_cast<const Call*>(job)->target().rows;
      if (count != 0 && rows + more > most) {
        priority = kPriorities;
        break;
      }
      rows += more;
      ++count;
      if (Batch::is_bucket(rows)) {
        fitting = count;
        fitting_rows = rows;
      }
    }
  }
  // Few left over wait for the next run, which comes at once, rather than have it padded.
  return fitting_rows * 3 >= rows * 2 ? fitting : count;
}

void Scheduler::take_from(Queue::Tier& tier, std::size_t priority, Taken& taken) noexcept {
  Queue& queue = *tier.queue;
  taken.queue = &queue;
  std::size_t count = queue.batch() != nullptr ? batch_size(queue, priority) : 1;
  for (; count != 0; --count) {
    while (queue.tiers_[priority].jobs.empty()) ++priority;
    Job& job = queue.tiers_[priority].jobs.pop();
    forget(job, queue);
    taken.jobs.push(job);
  }
}

bool Scheduler::take(Taken& taken) noexcept {
  const Clock::time_point now = Clock::now();
  next_due_ = Clock::time_point::max();
  if (timed_ != 0) drop_late(now, taken);
  if (!taken.late.empty()) return true;
  for (std::size_t priority = 0; priority < kPriorities; ++priority) {
    Fifo<ModelQueues::Tier>& models = models_[priority];
    for (std::size_t i = models.size(); i != 0; --i) {
      ModelQueues::Tier& model = models.pop();
      // Each has its turn once, and is last then.
      for (std::size_t j = model.queues.size(); j != 0 && taken.jobs.empty(); --j) {
        Queue::Tier& tier = model.queues.pop();
        if (!tier.jobs.empty() && is_due(tier, now)) take_from(tier, priority, taken);
        tier.listed = !tier.jobs.empty();
        if (tier.listed) model.queues.push(tier);
      }
      model.listed = !model.queues.empty();
      if (model.listed) models.push(model);
      if (!taken.jobs.empty()) return true;
    }
  }
  return false;
}

// Takes what is late out of all queues, at most some hundred times a second.
void Scheduler::drop_late(Clock::time_point now, Taken& taken) noexcept {
  constexpr std::chrono::milliseconds kPause{5};
  if (now < swept_ + kPause && !ending_) return;
  swept_ = now;
  for (Fifo<ModelQueues::Tier>& models : models_) {
    for (std::size_t i = models.size(); i != 0; --i) {
      ModelQueues::Tier& model = models.pop();
      models.push(model);
      for (std::size_t j = model.queues.size(); j != 0; --j) {
        Queue::Tier& tier = model.queues.pop();
        model.queues.push(tier);
        for (std::size_t k = tier.jobs.size(); k != 0; --k) {
          Job& job = tier.jobs.pop();
          if (job.deadline < now || job.cancelled()) {
            forget(job, *tier.queue);
            taken.late.push(job);
          } else {
            tier.jobs.push(job);
          }
        }
      }
    }
  }
}

void Scheduler::run_taken(Taken& taken) noexcept {
  const Clock::time_point now = Clock::now();
  taken.calls.clear();
  while (!taken.jobs.empty() || !taken.late.empty()) {
    Job& job = taken.late.empty() ? taken.jobs.pop() : taken.late.pop();
    if (job.cancelled()) {
      job.drop(Job::Reason::kCancelled);
    } else if (job.deadline < now) {
      job.drop(Job::Reason::kDeadline);
    } else if (taken.queue->batch() == nullptr) {
      job.run();
    } else {
      auto& call = static_cast<Call&>(job);
      call.target().statistics->count_wait(now - call.queued_at());
      taken.calls.push_back(&call);
    }
  }
  if (taken.calls.empty()) return;
  if (taken.calls.size() == 1) return taken.calls.front()->run();
  run_batch(*taken.queue->batch(), taken);
}

void Scheduler::run_batch(Batch& batch, Taken& taken) noexcept {
  const auto calls = std::span<Call* const>(taken.calls);
  if (!taken.run.run(batch, calls, *this)) {
    for (Call* call : calls) call->run();
    return;
  }
  for (Call* call : calls) {
    call->count(Outcome::kOk);
    call->completion_->finished(*call);
  }
}

void Scheduler::work() {
  Taken taken;
  taken.calls.reserve(static_cast<std::size_t>(kBucketRows.back()));
  std::unique_lock lock(mutex_);
  for (;;) {
    if (!take(taken)) {
      if (ending_) return;
      const Clock::time_point due = next_due_;
      if (due == Clock::time_point::max()) {
        wake_.wait(lock);
      } else {
        wake_.wait_until(lock, due);
      }
      continue;
    }
    lock.unlock();
    busy_.fetch_add(1, std::memory_order_relaxed);
    run_taken(taken);
    busy_.fetch_sub(1, std::memory_order_relaxed);
    lock.lock();
  }
}

void Scheduler::stop() {
  Fifo<Job> waiting;
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    Taken taken;
    while (take(taken)) {
      for (Fifo<Job>* jobs : {&taken.jobs, &taken.late}) {
        while (!jobs->empty()) waiting.push(jobs->pop());
      }
    }
  }
  wake_.notify_all();
  while (!waiting.empty()) waiting.pop().drop(Job::Reason::kStopping);
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

}  // namespace kerf::serving
