#pragma once

#include "inference/grpc_service.pb.h"
#include "protocol/service.h"

namespace kerf::protocol {

// The Open Inference Protocol's calls beside inference, as gRPC has them; REST carries the same
// messages as JSON. All take moments, and throw Error: kNotFound for a model that is not known,
// kUnavailable for one that is not ready.

void answer(const Service& service, const inference::ServerLiveRequest& request,
            inference::ServerLiveResponse& response);
void answer(const Service& service, const inference::ServerReadyRequest& request,
            inference::ServerReadyResponse& response);
// A model that is not known is not ready either.
void answer(const Service& service, const inference::ModelReadyRequest& request,
            inference::ModelReadyResponse& response);
void answer(const Service& service, const inference::ServerMetadataRequest& request,
            inference::ServerMetadataResponse& response);
void answer(const Service& service, const inference::ModelMetadataRequest& request,
            inference::ModelMetadataResponse& response);
void answer(const Service& service, const inference::ModelConfigRequest& request,
            inference::ModelConfigResponse& response);
// Of one model, or with an empty name of all: of a version that is given, else of all versions.
// What was counted of all of its cuts; reading and writing messages is not timed.
void answer(const Service& service, const inference::ModelStatisticsRequest& request,
            inference::ModelStatisticsResponse& response);
void answer(const Service& service, const inference::RepositoryIndexRequest& request,
            inference::RepositoryIndexResponse& response);
void answer(const Service& service, const inference::SystemSharedMemoryStatusRequest& request,
            inference::SystemSharedMemoryStatusResponse& response);
void answer(Service& service, const inference::SystemSharedMemoryRegisterRequest& request,
            inference::SystemSharedMemoryRegisterResponse& response);
void answer(Service& service, const inference::SystemSharedMemoryUnregisterRequest& request,
            inference::SystemSharedMemoryUnregisterResponse& response);
// The settings of a server that records no traces and logs where its command says. To ask for
// others is Error(kUnsupported).
void answer(const Service& service, const inference::TraceSettingRequest& request,
            inference::TraceSettingResponse& response);
void answer(const Service& service, const inference::LogSettingsRequest& request,
            inference::LogSettingsResponse& response);

// These return when the model is loaded or unloaded, which may take long. They throw also what
// serving::Repository does.
void load(Service& service, const inference::RepositoryModelLoadRequest& request);
void unload(Service& service, const inference::RepositoryModelUnloadRequest& request);

}  // namespace kerf::protocol
