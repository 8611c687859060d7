#include "protocol/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "kerf/error.h"
#include "kerf/version.h"

namespace kerf::protocol {
namespace {

constexpr std::string_view kPlatform = "kerf_keras";

template <typename Tensors>
void add_tensors(const std::vector<TensorInfo>& infos, Tensors& tensors) {
  for (const TensorInfo& info : infos) {
    auto& tensor = *tensors.Add();
    tensor.set_name(info.name);
    tensor.set_datatype(std::string(dtype_protocol_name(info.dtype)));
    for (const std::int64_t dim : info.shape) tensor.add_shape(dim);
  }
}

inference::DataType config_type(DType dtype) {
  inference::DataType type = inference::TYPE_INVALID;
  const std::string_view name = dtype == DType::kString ? "STRING" : dtype_protocol_name(dtype);
  inference::DataType_Parse(fmt::format("TYPE_{}", name), &type);
  return type;
}

template <typename Tensors>
void add_config(const std::vector<TensorInfo>& infos, bool batched, Tensors& tensors) {
  for (const TensorInfo& info : infos) {
    auto& tensor = *tensors.Add();
    tensor.set_name(info.name);
    tensor.set_data_type(config_type(info.dtype));
    for (std::size_t axis = batched ? 1 : 0; axis < info.shape.rank(); ++axis) {
      tensor.add_dims(info.shape[axis]);
    }
  }
}

void set_duration(inference::StatisticDuration& duration, std::uint64_t count, std::uint64_t ns) {
  duration.set_count(count);
  duration.set_ns(ns);
}

void add_statistics(const serving::ServedModel& model,
                    inference::ModelStatisticsResponse& response) {
  std::uint64_t rows = 0;
  std::uint64_t runs = 0;
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t waited = 0;
  std::uint64_t waited_ns = 0;
  std::uint64_t computed_ns = 0;
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  for (const auto& cut : model.statistics()) {
    const serving::StatisticsCounts counts = cut->statistics.read();
    rows += counts.rows.sum;
    runs += counts.runs();
    succeeded += counts.requests[static_cast<std::size_t>(serving::Outcome::kOk)];
    failed += counts.errors();
    waited += counts.queue.count();
    waited_ns += counts.queue.sum;
    computed_ns += counts.compute.sum;
    hits += counts.cache_hits;
    misses += counts.cache_misses;
  }
  inference::ModelStatistics& of_model = *response.add_model_stats();
  of_model.set_name(model.name());
  of_model.set_version(model.version());
  of_model.set_inference_count(rows);
  of_model.set_execution_count(runs);
  inference::InferStatistics& of_requests = *of_model.mutable_inference_stats();
  set_duration(*of_requests.mutable_success(), succeeded, waited_ns + computed_ns);
  set_duration(*of_requests.mutable_fail(), failed, 0);
  set_duration(*of_requests.mutable_queue(), waited, waited_ns);
  set_duration(*of_requests.mutable_compute_input(), 0, 0);
  set_duration(*of_requests.mutable_compute_infer(), runs, computed_ns);
  set_duration(*of_requests.mutable_compute_output(), 0, 0);
  set_duration(*of_requests.mutable_cache_hit(), hits, 0);
  set_duration(*of_requests.mutable_cache_miss(), misses, 0);
  inference::MemoryUsage& memory = *of_model.add_memory_usage();
  memory.set_type("CPU");
  memory.set_byte_size(model.model().memory_bytes());
}

bool has_batch(const TensorInfo& info) {
  return info.shape.rank() != 0 && info.shape[0] == Shape::kUnknown;
}

}  // namespace

void answer(const Service&, const inference::ServerLiveRequest&,
            inference::ServerLiveResponse& response) {
  response.set_live(true);
}

void answer(const Service& service, const inference::ServerReadyRequest&,
            inference::ServerReadyResponse& response) {
  response.set_ready(service.is_ready());
}

void answer(const Service& service, const inference::ModelReadyRequest& request,
            inference::ModelReadyResponse& response) {
  const auto models = service.repository->snapshot();
  response.set_ready(service.ready && models->find(request.name(), request.version()) != nullptr);
}

void answer(const Service&, const inference::ServerMetadataRequest&,
            inference::ServerMetadataResponse& response) {
  response.set_name("kerf");
  response.set_version(std::string(kVersion));
  for (const char* extension : {"binary_tensor_data", "classification", "model_configuration",
                                "model_repository", "parameters", "schedule_policy", "statistics",
                                "system_shared_memory", "tensor_addresses"}) {
    response.add_extensions(extension);
  }
}

void answer(const Service& service, const inference::ModelMetadataRequest& request,
            inference::ModelMetadataResponse& response) {
  const auto models = service.repository->snapshot();
  const auto& model = models->find(request.name(), request.version());
  if (model == nullptr) throw models->absence(request.name(), request.version());
  response.set_name(model->name());
  for (const serving::ModelVersion& version : models->entry(request.name())->versions) {
    if (version.model != nullptr) response.add_versions(version.version);
  }
  response.set_platform(std::string(kPlatform));
  add_tensors(model->model().inputs(), *response.mutable_inputs());
  add_tensors(model->model().outputs(), *response.mutable_outputs());
}

void answer(const Service& service, const inference::ModelConfigRequest& request,
            inference::ModelConfigResponse& response) {
  const auto models = service.repository->snapshot();
  const auto& served = models->find(request.name(), request.version());
  if (served == nullptr) throw models->absence(request.name(), request.version());
  const Model& model = served->model();
  inference::ModelConfig& config = *response.mutable_config();
  config.set_name(served->name());
  config.set_platform(std::string(kPlatform));
  config.set_backend("kerf");
  (*config.mutable_parameters())["precision"].set_string_value(
      std::string(precision_name(model.precision())));
  inference::ModelVersionPolicy::Specific& policy =
      *config.mutable_version_policy()->mutable_specific();
  for (const serving::ModelVersion& version : models->entry(request.name())->versions) {
    std::int64_t number = 0;
    std::from_chars(version.version.data(), version.version.data() + version.version.size(),
                    number);
    policy.add_versions(number);
  }
  const bool batched = std::ranges::all_of(model.inputs(), has_batch) &&
                       std::ranges::all_of(model.outputs(), has_batch);
  const serving::Batching& batching = served->settings().batching;
  config.set_max_batch_size(batched ? static_cast<std::int32_t>(batching.max_rows) : 0);
  add_config(model.inputs(), batched, *config.mutable_input());
  add_config(model.outputs(), batched, *config.mutable_output());
  if (batched && batching.max_rows > 1) {
    config.mutable_dynamic_batching()->set_max_queue_delay_microseconds(
        static_cast<std::uint64_t>(batching.delay.count()));
  }
}

void answer(const Service& service, const inference::ModelStatisticsRequest& request,
            inference::ModelStatisticsResponse& response) {
  const auto models = service.repository->snapshot();
  const auto& wanted = request.version();
  for (const auto& [name, entry] : models->models()) {
    if (!request.name().empty() && name != request.name()) continue;
    for (const serving::ModelVersion& version : entry.versions) {
      if (version.model == nullptr || (!wanted.empty() && version.version != wanted)) continue;
      add_statistics(*version.model, response);
    }
  }
  if (response.model_stats().empty() && !request.name().empty()) {
    throw models->absence(request.name(), wanted);
  }
}

void answer(const Service& service, const inference::RepositoryIndexRequest& request,
            inference::RepositoryIndexResponse& response) {
  const auto models = service.repository->snapshot();
  for (const auto& [name, entry] : models->models()) {
    for (const serving::ModelVersion& version : entry.versions) {
      if (request.ready() && version.state != serving::VersionState::kReady) continue;
      inference::RepositoryIndexResponse::ModelIndex& index = *response.add_models();
      index.set_name(name);
      index.set_version(version.version);
      index.set_state(std::string(serving::state_name(version.state)));
      index.set_reason(version.reason);
    }
  }
}

void answer(const Service& service, const inference::SystemSharedMemoryStatusRequest& request,
            inference::SystemSharedMemoryStatusResponse& response) {
  for (const SharedMemory::Region& region : service.shared_memory.regions(request.name())) {
    auto& status = (*response.mutable_regions())[region.name];
    status.set_name(region.name);
    status.set_key(region.key);
    status.set_offset(region.offset);
    status.set_byte_size(region.byte_size);
  }
}

void answer(Service& service, const inference::SystemSharedMemoryRegisterRequest& request,
            inference::SystemSharedMemoryRegisterResponse&) {
  service.shared_memory.add({.name = request.name(),
                             .key = request.key(),
                             .offset = request.offset(),
                             .byte_size = request.byte_size()});
}

void answer(Service& service, const inference::SystemSharedMemoryUnregisterRequest& request,
            inference::SystemSharedMemoryUnregisterResponse&) {
  service.shared_memory.remove(request.name());
}

void answer(const Service& service, const inference::TraceSettingRequest& request,
            inference::TraceSettingResponse& response) {
  if (!request.settings().empty()) {
    throw Error(ErrorCode::kUnsupported, "this server records no traces, so none can be set up");
  }
  if (!request.model_name().empty()) {
    const auto models = service.repository->snapshot();
    if (models->find(request.model_name()) == nullptr) {
      throw models->absence(request.model_name());
    }
  }
  auto& settings = *response.mutable_settings();
  settings["trace_level"].add_value("OFF");
  settings["trace_rate"].add_value("1000");
  settings["trace_count"].add_value("-1");
  settings["log_frequency"].add_value("0");
  settings["trace_file"].add_value("");
}

void answer(const Service&, const inference::LogSettingsRequest& request,
            inference::LogSettingsResponse& response) {
  if (!request.settings().empty()) {
    throw Error(ErrorCode::kUnsupported,
                "what is logged is set where the server is started, not by its clients");
  }
  auto& settings = *response.mutable_settings();
  settings["log_file"].set_string_param("");
  settings["log_info"].set_bool_param(true);
  settings["log_warning"].set_bool_param(true);
  settings["log_error"].set_bool_param(true);
  settings["log_verbose_level"].set_uint32_param(0);
  settings["log_format"].set_string_param("default");
}

void load(Service& service, const inference::RepositoryModelLoadRequest& request) {
  if (!request.parameters().empty()) {
    throw Error(ErrorCode::kUnsupported,
                "a model is loaded from its files alone: a configuration or files sent with the "
                "call are not taken",
                fmt::format("parameter {}", request.parameters().begin()->first));
  }
  service.repository->load_model(request.model_name().empty() ? request.repository_name()
                                                              : request.model_name());
}

void unload(Service& service, const inference::RepositoryModelUnloadRequest& request) {
  service.repository->unload_model(request.model_name().empty() ? request.repository_name()
                                                                : request.model_name());
}

}  // namespace kerf::protocol
