#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "kerf/error.h"
#include "protocol/service.h"
#include "serving/call.h"
#include "serving/job.h"

namespace kerf::protocol {

// Reading or writing more than this takes longer than a hop to a worker.
inline constexpr std::size_t kInlineBytes = std::size_t{32} << 10;

// An inference in the form of some protocol. Its three functions are called in this order, each
// once, by one thread at a time; they may throw, and an Error is the answer then.
class InferenceMessage {
 public:
  // Says what is fed and fetched: call.feed(), call.fetch(), the deadline and the priority.
  virtual void declare(serving::Call& call) = 0;
  // Puts the elements of the feeds into the call's memory, which is allocated.
  virtual void read_tensors(serving::Call& call) = 0;
  // Makes the reply from the call's results.
  virtual void write_reply(serving::Call& call) = 0;

 protected:
  ~InferenceMessage() = default;
};

// Who waits for an inference that could not be answered at once.
class Waiter {
 public:
  // finish() may be called now. Called by another thread than the one that called begin(), also
  // before that returns.
  virtual void ready() noexcept = 0;

 protected:
  ~Waiter() = default;
};

// Takes inferences, one after the other, through their steps: what is quick, on the thread that
// brings them; the rest by the service's workers, while the caller does nothing with it but cancel.
// Its memory is reused.
class Inference final : serving::Job, serving::Completion {
 public:
  Inference(Service& service, Waiter& waiter) : service_(service), waiter_(waiter) {}

  // `heavy`: reading the message takes longer than a hop to a worker. `until`: the deadline. True
  // if it is over; false if it will be after the waiter was told and finish() was called. Throws
  // nothing.
  bool begin(const std::shared_ptr<const serving::ServedModel>& model, InferenceMessage& message,
             bool heavy,
             serving::Clock::time_point until = serving::Clock::time_point::max()) noexcept;
  void finish() noexcept;
  // What went wrong; nothing if the reply was written. When it is over.
  const std::optional<Error>& error() const noexcept { return error_; }
  // Nobody waits for the reply any more. Any thread, between begin() and the end.
  void cancel() noexcept;
  // The call's results stay until the next begin() or this.
  void clear() noexcept { call_.clear(); }

 private:
  template <typename Body>
  bool guarded(Body&& body) noexcept;
  bool leave_to_worker();
  bool compute();
  void run() noexcept override;
  void drop(Reason reason) noexcept override;
  void finished(serving::Call& call) noexcept override;

  Service& service_;
  Waiter& waiter_;
  InferenceMessage* message_ = nullptr;
  bool declared_ = false;
  bool unwritten_ = false;  // the results are there, but not in the reply
  serving::Call call_;
  std::optional<Error> error_;
};

// The message with which work is refused that has no place in the queues.
Error overloaded();
// What is told of work that was dropped.
Error dropped(serving::Job::Reason reason);

}  // namespace kerf::protocol
