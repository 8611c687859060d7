#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "protocol/compression.h"
#include "protocol/infer_request.h"
#include "protocol/message.h"
#include "protocol/route.h"
#include "serving/call.h"
#include "serving/limits.h"
#include "serving/repository.h"
#include "serving/scheduler.h"

namespace kerf::protocol {

// What all exchanges of a server share.
struct Service {
  explicit Service(const serving::Limits& given, unsigned workers = 0)
      : limits(given), scheduler(workers, given) {}

  std::shared_ptr<serving::Repository> repository;
  serving::Limits limits;
  serving::Scheduler scheduler;
  std::atomic<bool> ready = true;  // what the readiness endpoints say
};

// Who waits for an exchange that could not answer at once.
class Waiter {
 public:
  // Exchange::finish() may be called now. Called by another thread than the one that called
  // begin(), also before that returns.
  virtual void ready() noexcept = 0;

 protected:
  ~Waiter() = default;
};

// Requests and their replies by the Open Inference Protocol, one after the other: one Exchange per
// connection, whose memory it reuses. Its caller uses one thread; what takes long, the exchange has
// the service's workers do, and the caller does nothing with it meanwhile.
class Exchange final : serving::Job, serving::Completion {
 public:
  Exchange(Service& service, Waiter& waiter)
      : service_(service), waiter_(waiter), models_(*service.repository) {}

  // Takes a request, which refers to memory that stays until it is answered. True if reply() is
  // complete; false if it will be after the waiter is told and finish() was called. Throws nothing:
  // errors are replies.
  bool begin(const Request& request) noexcept;
  void finish() noexcept;
  Reply& reply() noexcept { return reply_; }
  // Lets go of a model that was replaced since. Called now and then between requests.
  void rest() noexcept;
  // Nobody waits for the reply any more. Between begin() and the waiter's ready(), the caller's
  // thread.
  void cancel() noexcept;

 private:
  enum class Step : std::uint8_t { kGraph, kRead, kTarget };

  // Calls `body`, and makes an error it throws the reply. Returns what `body` does; true on errors.
  template <typename Body>
  bool guarded(Body&& body) noexcept;

  bool start();
  bool start_infer();
  // Has a worker go on from here. False, always.
  bool leave_to_worker(Step step);
  void read();
  // With its target found. True if the reply is complete; false if a worker computes, and will say
  // when it has: nothing of the exchange may be touched then.
  bool compute();
  void read_tensors();
  void write_result();
  void check_reply_size() const;
  void write_output(std::size_t index, const std::byte* data);
  bool is_binary(std::size_t output) const;
  void compress_reply();

  // By a worker.
  void run() noexcept override;
  void drop(Reason reason) noexcept override;
  void finished(serving::Call& call) noexcept override;

  Service& service_;
  Waiter& waiter_;
  serving::Repository::Reader models_;
  Request request_;
  Reply reply_;
  Route route_;
  Step step_ = Step::kRead;
  bool unwritten_ = false;  // the results are there, but not in the reply
  InferRequest infer_;
  Coding coding_ = Coding::kIdentity;
  Buffer decompressed_;
  Buffer unescaped_;  // strings of the request that had escapes
  serving::Call call_;
};

}  // namespace kerf::protocol
