#pragma once

#include <memory>

#include "inference/grpc_service.grpc.pb.h"
#include "protocol/service.h"
#include "server/grpc_infer_pool.h"

namespace kerf::server {

using Oip = inference::GRPCInferenceService;
// Inferences come as serialized messages, everything else as objects.
using GrpcInferenceMethods =
    Oip::WithRawCallbackMethod_ModelInfer<Oip::WithRawCallbackMethod_ModelStreamInfer<
        Oip::WithCallbackMethod_ServerLive<Oip::WithCallbackMethod_ServerReady<
            Oip::WithCallbackMethod_ModelReady<Oip::WithCallbackMethod_ServerMetadata<
                Oip::WithCallbackMethod_ModelMetadata<Oip::WithCallbackMethod_ModelConfig<
                    Oip::WithCallbackMethod_ModelStatistics<Oip::WithCallbackMethod_RepositoryIndex<
                        Oip::WithCallbackMethod_RepositoryModelLoad<
                            Oip::WithCallbackMethod_RepositoryModelUnload<
                                Oip::WithCallbackMethod_SystemSharedMemoryStatus<
                                    Oip::WithCallbackMethod_SystemSharedMemoryRegister<
                                        Oip::WithCallbackMethod_SystemSharedMemoryUnregister<
                                            Oip::WithCallbackMethod_CudaSharedMemoryStatus<
                                                Oip::WithCallbackMethod_CudaSharedMemoryRegister<
                                                    Oip::
                                                        WithCallbackMethod_CudaSharedMemoryUnregister<
                                                            Oip::WithCallbackMethod_TraceSetting<
                                                                Oip::WithCallbackMethod_LogSettings<
                                                                    Oip::
                                                                        Service>>>>>>>>>>>>>>>>>>>>;

// The Open Inference Protocol over gRPC. gRPC's threads call it.
class GrpcInferenceService final : public GrpcInferenceMethods {
 public:
  explicit GrpcInferenceService(protocol::Service& service)
      : service_(service), pool_(std::make_shared<GrpcInferPool>(service)) {}

 private:
  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;

  Reactor* ModelInfer(Context* context, const grpc::ByteBuffer* request,
                      grpc::ByteBuffer* response) override;
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ModelStreamInfer(
      Context* context) override;

  Reactor* ServerLive(Context* context, const inference::ServerLiveRequest* request,
                      inference::ServerLiveResponse* response) override;
  Reactor* ServerReady(Context* context, const inference::ServerReadyRequest* request,
                       inference::ServerReadyResponse* response) override;
  Reactor* ModelReady(Context* context, const inference::ModelReadyRequest* request,
                      inference::ModelReadyResponse* response) override;
  Reactor* ServerMetadata(Context* context, const inference::ServerMetadataRequest* request,
                          inference::ServerMetadataResponse* response) override;
  Reactor* ModelMetadata(Context* context, const inference::ModelMetadataRequest* request,
                         inference::ModelMetadataResponse* response) override;
  Reactor* ModelConfig(Context* context, const inference::ModelConfigRequest* request,
                       inference::ModelConfigResponse* response) override;
  Reactor* ModelStatistics(Context* context, const inference::ModelStatisticsRequest* request,
                           inference::ModelStatisticsResponse* response) override;
  Reactor* RepositoryIndex(Context* context, const inference::RepositoryIndexRequest* request,
                           inference::RepositoryIndexResponse* response) override;
  Reactor* RepositoryModelLoad(Context* context,
                               const inference::RepositoryModelLoadRequest* request,
                               inference::RepositoryModelLoadResponse* response) override;
  Reactor* RepositoryModelUnload(Context* context,
                                 const inference::RepositoryModelUnloadRequest* request,
                                 inference::RepositoryModelUnloadResponse* response) override;
  Reactor* SystemSharedMemoryStatus(Context* context,
                                    const inference::SystemSharedMemoryStatusRequest* request,
                                    inference::SystemSharedMemoryStatusResponse* response) override;
  Reactor* SystemSharedMemoryRegister(
      Context* context, const inference::SystemSharedMemoryRegisterRequest* request,
      inference::SystemSharedMemoryRegisterResponse* response) override;
  Reactor* SystemSharedMemoryUnregister(
      Context* context, const inference::SystemSharedMemoryUnregisterRequest* request,
      inference::SystemSharedMemoryUnregisterResponse* response) override;
  Reactor* TraceSetting(Context* context, const inference::TraceSettingRequest* request,
                        inference::TraceSettingResponse* response) override;
  Reactor* LogSettings(Context* context, const inference::LogSettingsRequest* request,
                       inference::LogSettingsResponse* response) override;

  protocol::Service& service_;
  std::shared_ptr<GrpcInferPool> pool_;
};

}  // namespace kerf::server
