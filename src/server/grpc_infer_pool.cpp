#include "server/grpc_infer_pool.h"

#include <grpc/slice.h>

#include <algorithm>
#include <utility>

namespace kerf::server {
namespace {

// Tensors from this size on are sent from where they lie.
constexpr std::size_t kSentInPlace = 4096;

grpc_slice copied(std::string_view bytes) {
  return grpc_slice_from_copied_buffer(bytes.data(), bytes.size());
}

}  // namespace

bool GrpcInferState::begin(const grpc::ByteBuffer& request, serving::Clock::time_point deadline,
                           protocol::Waiter& waiter) noexcept {
  waiter_ = &waiter;
  if (!request.TrySingleSlice(&request_).ok()) {
    static_cast<void>(request.DumpToSingleSlice(&request_));
  }
  return infer_.begin({reinterpret_cast<const char*>(request_.begin()), request_.size()}, deadline);
}

grpc::Slice GrpcInferState::piece(std::string_view bytes, bool kept) {
  if (kept || bytes.size() < kSentInPlace) return {copied(bytes), grpc::Slice::STEAL_REF};
  users_.fetch_add(1, std::memory_order_relaxed);
  // gRPC only reads it.
  return {const_cast<char*>(bytes.data()), bytes.size(),
          [](void* state) { static_cast<GrpcInferState*>(state)->release(); }, this};
}

void GrpcInferState::take_reply(std::string_view prefix, grpc::ByteBuffer& out) {
  const protocol::MessagePieces& reply = infer_.reply();
  const std::size_t size = prefix.size() + reply.size();
  if (size < 2 * kSentInPlace) {
    grpc_slice whole = grpc_slice_malloc(size);
    char* next = reinterpret_cast<char*>(GRPC_SLICE_START_PTR(whole));
    const auto put = [&next](std::string_view bytes) {
      next = std::copy(bytes.begin(), bytes.end(), next);
    };
    put(prefix);
    reply.for_each([&](std::string_view bytes, bool) { put(bytes); });
    const grpc::Slice slice(whole, grpc::Slice::STEAL_REF);
    out = grpc::ByteBuffer(&slice, 1);
    return;
  }
  std::vector<grpc::Slice> slices;
  if (!prefix.empty()) slices.emplace_back(copied(prefix), grpc::Slice::STEAL_REF);
  reply.for_each([&](std::string_view bytes, bool kept) {
    if (!bytes.empty()) slices.push_back(piece(bytes, kept));
  });
  out = grpc::ByteBuffer(slices.data(), slices.size());
}

void GrpcInferState::release() noexcept {
  if (users_.fetch_sub(1, std::memory_order_acq_rel) == 1) GrpcInferPool::put_back(*this);
}

GrpcInferState& GrpcInferPool::acquire() {
  std::unique_ptr<GrpcInferState> state;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      state = std::move(free_.back());
      free_.pop_back();
    }
  }
  if (state == nullptr) state = std::make_unique<GrpcInferState>(service_);
  state->pool_ = shared_from_this();
  state->users_.store(1, std::memory_order_relaxed);
  return *state.release();
}

void GrpcInferPool::put_back(GrpcInferState& given) noexcept {
  constexpr std::size_t kKept = 64;
  std::unique_ptr<GrpcInferState> state(&given);
  // What it held of a request, a model and their memory goes now.
  state->request_ = {};
  state->infer_.clear();
  const std::shared_ptr<GrpcInferPool> pool = std::move(state->pool_);
  const std::lock_guard lock(pool->mutex_);
  if (pool->free_.capacity() == 0) pool->free_.reserve(kKept);
  if (pool->free_.size() < kKept) pool->free_.push_back(std::move(state));
}

}  // namespace kerf::server
