#include "server/grpc_inference_service.h"

#include <list>
#include <mutex>
#include <string>
#include <utility>

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

// A ModelStreamInfer call: several requests are answered at a time, each reply as soon as it is
// there, with its request's id. Of a client that does not read its replies no more is read. What is
// wrong with a request ends only that.
class StreamCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  StreamCall(GrpcInferPool& pool, serving::Clock::time_point deadline)
      : pool_(pool), deadline_(deadline) {
    StartRead(&request_);
  }

 private:
  // Requests that were read, and whose replies are not sent.
  static constexpr std::size_t kMost = 32;

  struct One final : protocol::Waiter {
    explicit One(StreamCall& given) : stream(given) {}
    void ready() noexcept override {
      state->finish();
      stream.reply(*this);
    }
    StreamCall& stream;
    GrpcInferState* state = nullptr;
    grpc::ByteBuffer response;
    std::list<One>::iterator place;
  };

  void OnReadDone(bool ok) override {
    One* one = nullptr;
    const grpc::Status status = status_of([&] {
      if (!ok) return;
      std::list<One> made;
      made.emplace_back(*this).state = &pool_.acquire();
      one = &made.front();
      one->place = made.begin();
      const std::lock_guard lock(mutex_);
      running_.splice(running_.end(), made);
    });
    if (one == nullptr) return end_reading(status);
    if (one->state->begin(request_, deadline_, *one)) reply(*one);
    {
      const std::lock_guard lock(mutex_);
      reading_ = running_.size() + unsent_.size() < kMost;
      if (!reading_) return;
    }
    StartRead(&request_);
  }

  void reply(One& one) noexcept {
    const grpc::Status status = status_of([&one] { write_reply(one); });
    // Once it is among the unsent, the end of another write may send it and let it go.
    GrpcInferState* const state = one.state;
    bool write = false;
    {
      const std::lock_guard lock(mutex_);
      // Where there was no memory for the reply, the client is told at the end.
      if (!status.ok()) status_ = status;
      unsent_.splice(unsent_.end(), running_, one.place);
      write = !std::exchange(writing_, true);
    }
    state->release();
    if (write) StartWrite(&one.response);
  }
  static void write_reply(One& one) {
    using Response = inference::ModelStreamInferResponse;
    protocol::Buffer head;
    if (const std::optional<Error>& error = one.state->error()) {
      protocol::append_bytes(head, Response::kErrorMessageFieldNumber, error->what());
      inference::ModelInferResponse response;
      response.set_id(std::string(one.state->id()));
      protocol::append_bytes(head, Response::kInferResponseFieldNumber,
                             response.SerializeAsString());
      const grpc::Slice slice(head.data(), head.size());
      one.response = grpc::ByteBuffer(&slice, 1);
    } else {
      protocol::append_bytes_head(head, Response::kInferResponseFieldNumber,
                                  one.state->reply_size());
      one.state->take_reply(head.view(), one.response);
    }
  }

  void OnWriteDone(bool) override {
    std::list<One> sent;
    bool read = false;
    bool over = false;
    One* next = nullptr;
    {
      const std::lock_guard lock(mutex_);
      sent.splice(sent.end(), unsent_, unsent_.begin());
      writing_ = !unsent_.empty();
      if (writing_) next = &unsent_.front();
      read = !reading_ && !ended_;
      if (read) reading_ = true;
      over = is_over();
    }
    if (next != nullptr) StartWrite(&next->response);
    if (read) StartRead(&request_);
    if (over) Finish(status_);
  }

  // There are no more requests.
  void end_reading(const grpc::Status& status) {
    bool over = false;
    {
      const std::lock_guard lock(mutex_);
      if (!status.ok()) status_ = status;
      ended_ = true;
      over = is_over();
    }
    if (over) Finish(status_);
  }
  bool is_over() const noexcept { return ended_ && running_.empty() && unsent_.empty(); }

  void OnCancel() override {
    const std::lock_guard lock(mutex_);
    for (One& one : running_) one.state->cancel();
  }
  void OnDone() override { delete this; }

  GrpcInferPool& pool_;
  serving::Clock::time_point deadline_;
  grpc::ByteBuffer request_;
  std::mutex mutex_;  // guards what follows
  std::list<One> running_;
  std::list<One> unsent_;  // the first of them is being sent, if writing_
  bool writing_ = false;
  bool reading_ = true;  // or between two reads
  bool ended_ = false;
  grpc::Status status_;  // of the stream
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
