#pragma once

#include <atomic>
#include <memory>

#include "protocol/shared_memory.h"
#include "serving/limits.h"
#include "serving/repository.h"
#include "serving/scheduler.h"

namespace kerf::protocol {

// What all requests to a server share, whichever protocol they come by.
struct Service {
  explicit Service(const serving::Limits& given, unsigned workers = 0,
                   bool allow_shared_memory = false)
      : limits(given),
        shared_memory(allow_shared_memory),
        scheduler(workers, given),
        control(1, given) {}

  // Every model that is to be served is, and the server does not stop.
  bool is_ready() const noexcept { return ready && repository->started(); }

  std::shared_ptr<serving::Repository> repository;
  serving::Limits limits;
  SharedMemory shared_memory;
  serving::Scheduler scheduler;
  serving::Scheduler control;      // for what takes long and computes little: loading models
  std::atomic<bool> ready = true;  // what the readiness endpoints say
};

}  // namespace kerf::protocol
