#pragma once

#include <optional>
#include <string_view>

#include "kerf/error.h"
#include "protocol/infer_request.h"
#include "protocol/infer_tensors.h"
#include "protocol/inference.h"
#include "protocol/wire_writer.h"

namespace kerf::protocol {

// ModelInfer, on serialized messages: what stands in them is neither copied nor made into objects.
// One inference after the other, in memory that is reused. Its owner uses one thread at a time.
class GrpcInfer final : InferenceMessage {
 public:
  GrpcInfer(Service& service, Waiter& waiter)
      : service_(service), tensors_(service.shared_memory), inference_(service, waiter) {}

  // `request` stays until the reply was sent. True if it is over; false if it will be after the
  // waiter was told and finish() was called.
  bool begin(std::string_view request, serving::Clock::time_point deadline) noexcept;
  void finish() noexcept { inference_.finish(); }
  // Any thread, between begin() and the end.
  void cancel() noexcept { inference_.cancel(); }

  // When it is over: what went wrong or, if nothing did, a serialized ModelInferResponse. It refers
  // to memory of this, until begin() or clear().
  const std::optional<Error>& error() const noexcept {
    return refused_ ? refused_ : inference_.error();
  }
  // Of the request, empty if it has none.
  std::string_view id() const noexcept { return request_.id ? *request_.id : std::string_view(); }
  const MessagePieces& reply() const noexcept { return reply_; }
  void clear() noexcept { inference_.clear(); }

 private:
  void declare(serving::Call& call) override { InferTensors::declare(request_, call); }
  void read_tensors(serving::Call& call) override { tensors_.read(request_, call); }
  void write_reply(serving::Call& call) override;
  void write_output(const InferTensors::Output& output);

  Service& service_;
  InferRequest request_;
  InferTensors tensors_;
  MessagePieces reply_;
  Buffer scratch_;
  std::optional<Error> refused_;  // before there was an inference
  Inference inference_;
};

}  // namespace kerf::protocol
