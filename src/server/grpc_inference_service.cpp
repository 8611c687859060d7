#include "server/grpc_inference_service.h"

#include "protocol/control.h"
#include "protocol/wire_writer.h"
#include "server/grpc_answer.h"

namespace kerf::server {
namespace {

// One ModelInfer call.
class InferCall final : public grpc::ServerUnaryReactor, protocol::Waiter {
 public:
  InferCall(GrpcInferState& state, serving::Clock::time_point deadline,
            const grpc::ByteBuffer& request, grpc::ByteBuffer& response)
      : state_(state), response_(response) {
    if (state_.begin(request, deadline, *this)) reply();
  }

 private:
  void ready() noexcept override {
    state_.finish();
    reply();
  }
  void reply() noexcept {
    if (const std::optional<Error>& error = state_.error()) return Finish(grpc_status(*error));
    Finish(status_of([this] { state_.take_reply({}, response_); }));
  }
  void OnCancel() override { state_.cancel(); }
  void OnDone() override {
    state_.release();
    delete this;
  }

  GrpcInferState& state_;
  grpc::ByteBuffer& response_;
};

// A ModelStreamInfer call: each request is answered before the next is read, so that a client that
// does not read its replies is not read from either. What is wrong with a request ends only that.
class StreamCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                         protocol::Waiter {
 public:
  StreamCall(GrpcInferPool& pool, serving::Clock::time_point deadline)
      : pool_(pool), deadline_(deadline) {
    StartRead(&request_);
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    const grpc::Status status = status_of([this] {
      GrpcInferState& state = pool_.acquire();
      {
        const std::lock_guard lock(mutex_);
        state_ = &state;
      }
      if (cancelled_) state.cancel();
    });
    if (!status.ok()) return Finish(status);
    if (state_->begin(request_, deadline_, *this)) reply();
  }
  void ready() noexcept override {
    state_->finish();
    reply();
  }
  void reply() noexcept {
    using Response = inference::ModelStreamInferResponse;
    const grpc::Status status = status_of([this] {
      protocol::Buffer head;
      if (const std::optional<Error>& error = state_->error()) {
        protocol::append_bytes(head, Response::kErrorMessageFieldNumber, error->what());
        const grpc::Slice slice(head.data(), head.size());
        response_ = grpc::ByteBuffer(&slice, 1);
      } else {
        protocol::append_bytes_head(head, Response::kInferResponseFieldNumber,
                                    state_->reply_size());
        state_->take_reply(head.view(), response_);
      }
    });
    GrpcInferState* state = nullptr;
    {
      const std::lock_guard lock(mutex_);
      state = std::exchange(state_, nullptr);
    }
    state->release();
    if (!status.ok()) return Finish(status);
    StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    StartRead(&request_);
  }
  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (state_ != nullptr) state_->cancel();
  }
  void OnDone() override { delete this; }

  GrpcInferPool& pool_;
  serving::Clock::time_point deadline_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  std::mutex mutex_;                 // guards what a cancellation may look at
  GrpcInferState* state_ = nullptr;  // of the request that is being answered
  bool cancelled_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* GrpcInferenceService::ModelInfer(Context* context,
                                                           const grpc::ByteBuffer* request,
                                                           grpc::ByteBuffer* response) {
  return new InferCall(pool_->acquire(), deadline_of(*context), *request, *response);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* GrpcInferenceService::ModelStreamInfer(
    Context* context) {
  return new StreamCall(*pool_, deadline_of(*context));
}

// Each of these answers as its namesake in protocol/control.h.
#define KERF_ANSWER(Method)                                                                \
  grpc::ServerUnaryReactor* GrpcInferenceService::Method(                                  \
      Context* context, const inference::Method##Request* request,                         \
      inference::Method##Response* response) {                                             \
    return answer_now(*context, [&] { protocol::answer(service_, *request, *response); }); \
  }
KERF_ANSWER(ServerLive)
KERF_ANSWER(ServerReady)
KERF_ANSWER(ModelReady)
KERF_ANSWER(ServerMetadata)
KERF_ANSWER(ModelMetadata)
KERF_ANSWER(ModelConfig)
KERF_ANSWER(ModelStatistics)
KERF_ANSWER(RepositoryIndex)
KERF_ANSWER(SystemSharedMemoryStatus)
KERF_ANSWER(SystemSharedMemoryRegister)
KERF_ANSWER(SystemSharedMemoryUnregister)
KERF_ANSWER(TraceSetting)
KERF_ANSWER(LogSettings)
#undef KERF_ANSWER

grpc::ServerUnaryReactor* GrpcInferenceService::RepositoryModelLoad(
    Context*, const inference::RepositoryModelLoadRequest* request,
    inference::RepositoryModelLoadResponse*) {
  return answer_later(service_.control, [this, request] { protocol::load(service_, *request); });
}

grpc::ServerUnaryReactor* GrpcInferenceService::RepositoryModelUnload(
    Context*, const inference::RepositoryModelUnloadRequest* request,
    inference::RepositoryModelUnloadResponse*) {
  return answer_later(service_.control, [this, request] { protocol::unload(service_, *request); });
}

}  // namespace kerf::server
