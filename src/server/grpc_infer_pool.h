#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "protocol/grpc_infer.h"
#include "protocol/inference.h"

namespace kerf::server {

class GrpcInferPool;

// An inference that came by gRPC, and its memory, in which parts of the reply lie until they are
// sent. It returns to its pool when nobody uses it any more.
class GrpcInferState final : protocol::Waiter {
 public:
  explicit GrpcInferState(protocol::Service& service) : infer_(service, *this) {}

  // As GrpcInfer::begin(); `waiter` is told instead.
  bool begin(const grpc::ByteBuffer& request, serving::Clock::time_point deadline,
             protocol::Waiter& waiter) noexcept;
  void finish() noexcept { infer_.finish(); }
  void cancel() noexcept { infer_.cancel(); }
  const std::optional<Error>& error() const noexcept { return infer_.error(); }
  std::string_view id() const noexcept { return infer_.id(); }
  // Makes `out` the reply with `prefix` before it.
  void take_reply(std::string_view prefix, grpc::ByteBuffer& out);
  std::size_t reply_size() const noexcept { return infer_.reply().size(); }

  // One user, whoever acquired it, is done with it.
  void release() noexcept;

 private:
  friend class GrpcInferPool;
  void ready() noexcept override { waiter_->ready(); }
  grpc::Slice piece(std::string_view bytes, bool kept);

  protocol::GrpcInfer infer_;
  std::shared_ptr<GrpcInferPool> pool_;  // while it is used
  protocol::Waiter* waiter_ = nullptr;
  grpc::Slice request_;
  std::atomic<unsigned> users_ = 0;
};

// States that are reused. Those that it gave keep it alive: gRPC may hold parts of a reply for
// longer than its server. Any thread.
class GrpcInferPool : public std::enable_shared_from_this<GrpcInferPool> {
 public:
  explicit GrpcInferPool(protocol::Service& service) : service_(service) {}

  // With one user. Throws std::bad_alloc.
  GrpcInferState& acquire();

 private:
  friend class GrpcInferState;
  static void put_back(GrpcInferState& state) noexcept;

  protocol::Service& service_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<GrpcInferState>> free_;
};

}  // namespace kerf::server
