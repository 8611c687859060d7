#pragma once

#include "protocol/service.h"
#include "tensorflow_serving/model_service.grpc.pb.h"
#include "tensorflow_serving/prediction_service.grpc.pb.h"
#include "tensorflow_serving/session_service.grpc.pb.h"

namespace kerf::server {

// TensorFlow Serving's three services. gRPC's threads call them.

class GrpcPredictionService final : public tensorflow::serving::PredictionService::CallbackService {
 public:
  explicit GrpcPredictionService(protocol::Service& service) : service_(service) {}

 private:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  Reactor* Predict(Context* context, const tensorflow::serving::PredictRequest* request,
                   tensorflow::serving::PredictResponse* response) override;
  Reactor* Classify(Context* context, const tensorflow::serving::ClassificationRequest* request,
                    tensorflow::serving::ClassificationResponse* response) override;
  Reactor* Regress(Context* context, const tensorflow::serving::RegressionRequest* request,
                   tensorflow::serving::RegressionResponse* response) override;
  Reactor* MultiInference(Context* context,
                          const tensorflow::serving::MultiInferenceRequest* request,
                          tensorflow::serving::MultiInferenceResponse* response) override;
  Reactor* GetModelMetadata(Context* context,
                            const tensorflow::serving::GetModelMetadataRequest* request,
                            tensorflow::serving::GetModelMetadataResponse* response) override;

  protocol::Service& service_;
};

class GrpcModelService final : public tensorflow::serving::ModelService::CallbackService {
 public:
  explicit GrpcModelService(const protocol::Service& service) : service_(service) {}

 private:
  grpc::ServerUnaryReactor* GetModelStatus(
      grpc::CallbackServerContext* context,
      const tensorflow::serving::GetModelStatusRequest* request,
      tensorflow::serving::GetModelStatusResponse* response) override;
  grpc::ServerUnaryReactor* HandleReloadConfigRequest(
      grpc::CallbackServerContext* context, const tensorflow::serving::ReloadConfigRequest* request,
      tensorflow::serving::ReloadConfigResponse* response) override;

  const protocol::Service& service_;
};

class GrpcSessionService final : public tensorflow::serving::SessionService::CallbackService {
 public:
  explicit GrpcSessionService(protocol::Service& service) : service_(service) {}

 private:
  grpc::ServerUnaryReactor* SessionRun(grpc::CallbackServerContext* context,
                                       const tensorflow::serving::SessionRunRequest* request,
                                       tensorflow::serving::SessionRunResponse* response) override;

  protocol::Service& service_;
};

}  // namespace kerf::server
