#include "server/grpc_tensorflow_services.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "protocol/inference.h"
#include "protocol/tensorflow_messages.h"
#include "server/grpc_answer.h"

namespace kerf::server {
namespace {

namespace tfs = tensorflow::serving;

// A call that is one inference, read and answered by a message.
template <typename Message>
class MessageCall final : public grpc::ServerUnaryReactor, protocol::Waiter {
 public:
  // `make(std::optional<Message>&)` makes the message; it may throw.
  template <typename Make>
  MessageCall(protocol::Service& service, const grpc::CallbackServerContext& context, Make&& make)
      : inference_(service, *this) {
    // Making the message may go through many examples, but reads no tensors.
    const grpc::Status status = status_of([&] { make(message_); });
    if (!status.ok()) {
      Finish(status);
    } else if (inference_.begin(message_->model(), *message_, false, deadline_of(context))) {
      reply();
    }
  }

 private:
  void ready() noexcept override {
    inference_.finish();
    reply();
  }
  void reply() noexcept {
    if (const std::optional<Error>& error = inference_.error()) {
      return Finish(grpc_status(*error));
    }
    Finish(grpc::Status::OK);
  }
  void OnCancel() override { inference_.cancel(); }
  void OnDone() override { delete this; }

  std::optional<Message> message_;
  protocol::Inference inference_;
};

// Runs a message here, whatever it takes.
void run_now(protocol::Service& service, protocol::ExamplesMessage& message) {
  serving::Call call;
  call.begin(message.model());
  message.declare(call);
  if (!call.find_target()) call.make_target();
  call.allocate();
  message.read_tensors(call);
  service.scheduler.run(call);
  if (call.error()) throw *call.error();
  message.write_reply(call);
}

}  // namespace

grpc::ServerUnaryReactor* GrpcPredictionService::Predict(Context* context,
                                                         const tfs::PredictRequest* request,
                                                         tfs::PredictResponse* response) {
  return new MessageCall<protocol::PredictMessage>(
      service_, *context, [&](auto& message) { message.emplace(service_, *request, *response); });
}

grpc::ServerUnaryReactor* GrpcPredictionService::Classify(Context* context,
                                                          const tfs::ClassificationRequest* request,
                                                          tfs::ClassificationResponse* response) {
  return new MessageCall<protocol::ExamplesMessage>(service_, *context, [&](auto& message) {
    const protocol::TensorflowModel found = protocol::find_model(service_, request->model_spec());
    protocol::write_spec(found, *response->mutable_model_spec());
    message.emplace(service_, found, request->input(), *response->mutable_result());
  });
}

grpc::ServerUnaryReactor* GrpcPredictionService::Regress(Context* context,
                                                         const tfs::RegressionRequest* request,
                                                         tfs::RegressionResponse* response) {
  return new MessageCall<protocol::ExamplesMessage>(service_, *context, [&](auto& message) {
    const protocol::TensorflowModel found = protocol::find_model(service_, request->model_spec());
    protocol::write_spec(found, *response->mutable_model_spec());
    message.emplace(service_, found, request->input(), *response->mutable_result());
  });
}

grpc::ServerUnaryReactor* GrpcPredictionService::MultiInference(
    Context*, const tfs::MultiInferenceRequest* request, tfs::MultiInferenceResponse* response) {
  return answer_later(service_.scheduler, [this, request, response] {
    if (request->tasks().empty()) {
      throw Error(ErrorCode::kInvalidArgument, "Inference request must not be empty");
    }
    for (const tfs::InferenceTask& task : request->tasks()) {
      const protocol::TensorflowModel found = protocol::find_model(service_, task.model_spec());
      tfs::InferenceResult& result = *response->add_results();
      protocol::write_spec(found, *result.mutable_model_spec());
      std::optional<protocol::ExamplesMessage> message;
      if (task.method_name() == "tensorflow/serving/classify") {
        message.emplace(service_, found, request->input(), *result.mutable_classification_result());
      } else if (task.method_name() == "tensorflow/serving/regress") {
        message.emplace(service_, found, request->input(), *result.mutable_regression_result());
      } else {
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("Unsupported signature method_name: {}", task.method_name()));
      }
      run_now(service_, *message);
    }
  });
}

grpc::ServerUnaryReactor* GrpcPredictionService::GetModelMetadata(
    Context* context, const tfs::GetModelMetadataRequest* request,
    tfs::GetModelMetadataResponse* response) {
  return answer_now(*context, [&] { protocol::answer(service_, *request, *response); });
}

grpc::ServerUnaryReactor* GrpcModelService::GetModelStatus(
    grpc::CallbackServerContext* context, const tfs::GetModelStatusRequest* request,
    tfs::GetModelStatusResponse* response) {
  return answer_now(*context, [&] { protocol::answer(service_, *request, *response); });
}

grpc::ServerUnaryReactor* GrpcModelService::HandleReloadConfigRequest(
    grpc::CallbackServerContext* context, const tfs::ReloadConfigRequest*,
    tfs::ReloadConfigResponse*) {
  return answer_now(*context, [] {
    throw Error(ErrorCode::kUnsupported,
                "which models are served is configured where the server is started, not by its "
                "clients, who may load and unload those (RepositoryModelLoad)");
  });
}

grpc::ServerUnaryReactor* GrpcSessionService::SessionRun(grpc::CallbackServerContext* context,
                                                         const tfs::SessionRunRequest* request,
                                                         tfs::SessionRunResponse* response) {
  return new MessageCall<protocol::SessionRunMessage>(
      service_, *context, [&](auto& message) { message.emplace(service_, *request, *response); });
}

}  // namespace kerf::server
