#include "protocol/inference.h"

#include <new>
#include <utility>

namespace kerf::protocol {

Error overloaded() {
  return {ErrorCode::kUnavailable, "the server is overloaded: its queue is full; try again later"};
}

Error dropped(serving::Job::Reason reason) {
  switch (reason) {
    case serving::Job::Reason::kDeadline:
      return {ErrorCode::kDeadlineExceeded, "the request's time was over before its turn came"};
    case serving::Job::Reason::kCancelled:
      return {ErrorCode::kUnavailable, "the request was cancelled"};
    case serving::Job::Reason::kStopping:
      break;
  }
  return {ErrorCode::kUnavailable, "the server is shutting down"};
}

template <typename Body>
bool Inference::guarded(Body&& body) noexcept {
  try {
    try {
      return body();
    } catch (const Error& error) {
      call_.count(serving::outcome_of(error.code()));
      error_ = error;
      // What is not found here is a tensor: the client asked for what cannot be.
      if (error.code() == ErrorCode::kNotFound) {
        error_.emplace(ErrorCode::kInvalidArgument, error.message(), error.where());
      }
    } catch (const std::bad_alloc&) {
      error_.emplace(ErrorCode::kUnavailable, "the server is out of memory; try again later");
    } catch (const std::exception& error) {
      error_.emplace(ErrorCode::kInternal, error.what());
    }
  } catch (...) {
    error_.emplace(ErrorCode::kUnavailable, std::string());  // no memory even for the message
  }
  return true;
}

bool Inference::begin(const std::shared_ptr<const serving::ServedModel>& model,
                      InferenceMessage& message, bool heavy,
                      serving::Clock::time_point until) noexcept {
  reset_job();
  error_.reset();
  message_ = &message;
  declared_ = false;
  unwritten_ = false;
  return guarded([&] {
    call_.begin(model);
    call_.deadline = until;
    if (heavy) return leave_to_worker();
    message_->declare(call_);
    declared_ = true;
    if (!call_.find_target()) return leave_to_worker();
    return compute();
  });
}

void Inference::finish() noexcept {
  if (!std::exchange(unwritten_, false)) return;
  guarded([this] {
    if (call_.error()) throw *call_.error();
    message_->write_reply(call_);
    return true;
  });
}

void Inference::cancel() noexcept {
  Job::cancel();
  call_.cancel();
}

bool Inference::leave_to_worker() {
  deadline = call_.deadline;
  priority = call_.priority;
  if (!service_.scheduler.submit(*this, call_.model().get())) throw overloaded();
  return false;
}

void Inference::run() noexcept {
  const bool over = guarded([this] {
    if (!declared_) message_->declare(call_);
    if (!call_.find_target()) call_.make_target();
    return compute();
  });
  if (over) waiter_.ready();
}

void Inference::drop(Reason reason) noexcept {
  if (reason == Reason::kCancelled) call_.count(serving::Outcome::kCancelled);
  guarded([reason]() -> bool { throw dropped(reason); });
  waiter_.ready();
}

bool Inference::compute() {
  serving::Scheduler& scheduler = service_.scheduler;
  if (!scheduler.admits(call_)) throw overloaded();
  call_.allocate();
  message_->read_tensors(call_);
  if (call_.target().lane == serving::Lane::kCaller) {
    scheduler.run(call_);
    unwritten_ = true;
    finish();
    return true;
  }
  if (!scheduler.submit(call_, *this)) throw overloaded();
  return false;
}

void Inference::finished(serving::Call& call) noexcept {
  unwritten_ = true;
  // A large reply would keep the caller's thread from other connections.
  if (!call.error() && call.tensor_bytes() > kInlineBytes) finish();
  waiter_.ready();
}

}  // namespace kerf::protocol
