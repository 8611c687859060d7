#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <chrono>
#include <exception>
#include <memory>
#include <utility>

#include "protocol/service.h"
#include "protocol/tensorflow_model.h"
#include "server/grpc_status.h"
#include "serving/job.h"

namespace kerf::server {

// The deadline of a gRPC call.
inline serving::Clock::time_point deadline_of(const grpc::ServerContextBase& context) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) {
    return serving::Clock::time_point::max();
  }
  return serving::Clock::now() + (deadline - std::chrono::system_clock::now());
}

// What `body`, which may throw, comes to.
template <typename Body>
grpc::Status status_of(Body&& body) noexcept {
  try {
    body();
    return grpc::Status::OK;
  } catch (const protocol::UnknownSignature& error) {
    return {grpc::StatusCode::FAILED_PRECONDITION, error.what()};
  } catch (const Error& error) {
    return grpc_status(error);
  } catch (const std::bad_alloc&) {
    return {grpc::StatusCode::UNAVAILABLE, "the server is out of memory; try again later"};
  } catch (const std::exception& error) {
    return {grpc::StatusCode::INTERNAL, error.what()};
  }
}

// Answers a call at once.
template <typename Body>
grpc::ServerUnaryReactor* answer_now(grpc::CallbackServerContext& context, Body&& body) {
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish(status_of(std::forward<Body>(body)));
  return reactor;
}

// Answers a call by a thread of `scheduler`, for what takes long.
template <typename Body>
class AnswerLater final : public grpc::ServerUnaryReactor, serving::Job {
 public:
  AnswerLater(serving::Scheduler& scheduler, Body body) : body_(std::move(body)) {
    if (!scheduler.submit(*this, nullptr)) {
      Finish({grpc::StatusCode::UNAVAILABLE, "the server is overloaded; try again later"});
    }
  }

 private:
  void OnDone() override { delete this; }
  void run() noexcept override { Finish(status_of(body_)); }
  void drop(Reason) noexcept override {
    Finish({grpc::StatusCode::UNAVAILABLE, "the server is shutting down"});
  }

  Body body_;
};

template <typename Body>
grpc::ServerUnaryReactor* answer_later(serving::Scheduler& scheduler, Body body) {
  return new AnswerLater<Body>(scheduler, std::move(body));
}

}  // namespace kerf::server
