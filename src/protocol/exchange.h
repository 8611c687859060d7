#pragma once

#include <cstdint>
#include <memory>

#include "protocol/http_infer.h"
#include "protocol/http_tensorflow.h"
#include "protocol/inference.h"
#include "protocol/message.h"
#include "protocol/route.h"
#include "protocol/service.h"
#include "serving/job.h"
#include "serving/repository.h"

namespace kerf::protocol {

// HTTP requests and their replies, one after the other: one Exchange per connection, whose memory
// it reuses. Its caller uses one thread; what takes long, the exchange has the service's workers
// do, and the caller does nothing with it meanwhile.
class Exchange final : serving::Job, Waiter {
 public:
  Exchange(Service& service, Waiter& waiter)
      : service_(service),
        waiter_(waiter),
        models_(*service.repository),
        infer_(service, reply_),
        predict_(service, reply_),
        examples_(service, reply_),
        inference_(service, *this) {}

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
  // Calls `body`, and makes an error it throws the reply. Returns what `body` does; true on errors.
  template <typename Body>
  bool guarded(Body&& body) noexcept;

  bool start();
  // Below /v1/.
  bool start_tensorflow();
  // By the message `begin(coding)` begins.
  template <typename Begin>
  bool start_inference(InferenceMessage& message, Begin&& begin);
  // Has a worker go on. False, always.
  bool leave_to_worker(serving::Scheduler& scheduler);
  // What is neither inference nor asked for often.
  void answer_control();
  void find_model();
  // Makes the inference's error, if there is one, the reply.
  void take_error() noexcept;

  // By a worker.
  void run() noexcept override;
  void drop(Reason reason) noexcept override;
  void ready() noexcept override { waiter_.ready(); }

  Service& service_;
  Waiter& waiter_;
  serving::Repository::Reader models_;
  Request request_;
  Reply reply_;
  Route route_;
  std::shared_ptr<const serving::ServedModel> model_;
  bool inferring_ = false;
  HttpInfer infer_;
  HttpPredict predict_;
  HttpExamples examples_;
  Inference inference_;
};

}  // namespace kerf::protocol
