#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

#include "kerf/model.h"
#include "serving/batch_run.h"
#include "serving/call.h"
#include "serving/job.h"
#include "serving/limits.h"
#include "serving/queue.h"

namespace kerf::serving {

// Workers, and who is next. Calls and other jobs that would keep an I/O thread from its other
// connections wait in bounded queues; models take turns. Any thread may call all but stop().
class Scheduler {
 public:
  // 0 workers = one per core.
  Scheduler(unsigned workers, const Limits& limits);
  ~Scheduler() { stop(); }
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  unsigned worker_count() const noexcept { return static_cast<unsigned>(threads_.size()); }

  // Runs a call on the calling thread; its results or its error are there afterwards.
  void run(Call& call) noexcept;
  // Whether there is room for a call that has its target, at this moment: what is refused is best
  // refused before its tensors are read. One that runs on the caller needs no room.
  bool admits(const Call& call) const noexcept;
  // Has a worker run the call, if possible together with others. False if there is no room.
  bool submit(Call& call, Completion& completion) noexcept;
  // Has a worker do something for a model, or (null) for none in particular, in its turn. False if
  // there is no room.
  bool submit(Job& job, const ServedModel* model) noexcept;

  // The threads that a run of this plan may be split over, at this moment; null for none.
  const Threads* helpers_for(const Plan& plan) const noexcept;

  // Lets running jobs end, drops those that wait, takes no more. Called by one thread.
  void stop();

 private:
  // What a worker has taken from the queues: one job, or the calls of a batch.
  struct Taken {
    Queue* queue = nullptr;
    Fifo<Job> jobs;
    Fifo<Job> late;  // too late, or cancelled: to be dropped
    std::vector<Call*> calls;
    BatchRun run;
  };

  bool enqueue(Job& job, Queue& queue, std::size_t bytes) noexcept;
  // These, under the lock. take() is false if there is nothing that may begin before next_due_.
  bool take(Taken& taken) noexcept;
  void take_from(Queue::Tier& tier, std::size_t priority, Taken& taken) noexcept;
  static std::size_t batch_size(const Queue& queue, std::size_t priority) noexcept;
  bool is_due(const Queue::Tier& tier, Clock::time_point now) noexcept;
  void drop_late(Clock::time_point now, Taken& taken) noexcept;
  void forget(const Job& job, Queue& queue) noexcept;
  // These, without it.
  void run_taken(Taken& taken) noexcept;
  void run_batch(Batch& batch, Taken& taken) noexcept;
  void work();

  Limits limits_;
  Threads helpers_;  // large runs are split over these
  std::mutex mutex_;
  std::condition_variable wake_;
  std::array<Fifo<ModelQueues::Tier>, kPriorities> models_;  // with jobs that wait
  ModelQueues others_;                                       // jobs of no model
  std::atomic<std::size_t> waiting_bytes_ = 0;               // written under the lock
  std::size_t timed_ = 0;                                    // jobs that have a deadline
  Clock::time_point swept_;                                  // when late ones were looked for
  Clock::time_point next_due_;                               // of the calls that wait for others
  std::atomic<unsigned> busy_ = 0;                           // workers that run something
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace kerf::serving
