#include "protocol/exchange.h"

#include <fmt/format.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <new>
#include <optional>
#include <string>
#include <utility>

#include "kerf/error.h"
#include "protocol/control.h"
#include "protocol/json_text.h"
#include "protocol/message_json.h"
#include "protocol/metadata.h"
#include "protocol/openapi.h"
#include "protocol/tensorflow_model.h"
#include "serving/metrics.h"

namespace kerf::protocol {

namespace {

// The message in a small JSON body; an empty body is an empty message.
void read_body(const Request& request, google::protobuf::Message& message) {
  if (request.body.empty()) return;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(
      {request.body.data(), request.body.size()}, &message, options);
  if (!status.ok()) {
    throw Error(
        ErrorCode::kInvalidArgument,
        fmt::format("the body is not what is expected here: {}", std::string(status.message())));
  }
}

// Settings cannot be changed; to send none is to ask for them.
void refuse_settings(const Request& request, std::string_view why) {
  google::protobuf::Struct settings;
  read_body(request, settings);
  if (!settings.fields().empty()) {
    throw Error(ErrorCode::kUnsupported, fmt::format("{}: there is nothing to set", why));
  }
}

bool is_tensorflow(Endpoint endpoint) noexcept { return endpoint >= Endpoint::kMalformed; }

}  // namespace

template <typename Body>
bool Exchange::guarded(Body&& body) noexcept {
  try {
    try {
      return body();
    } catch (const Error& error) {
      write_error(reply_, http_status(error.code()), error.what());
    } catch (const std::bad_alloc&) {
      write_error(reply_, 503, "the server is out of memory; try again later");
    } catch (const std::exception& error) {
      write_error(reply_, 500, error.what());
    }
  } catch (...) {
    // No memory even for the message: a bare status.
    reply_.clear();
    reply_.status = 503;
  }
  return true;
}

void Exchange::rest() noexcept {
  if (!models_.stale()) return;
  inference_.clear();
  model_.reset();
  models_.rest();
}

bool Exchange::begin(const Request& request) noexcept {
  request_ = request;
  reply_.clear();
  reset_job();
  inferring_ = false;
  return guarded([this] { return start(); });
}

void Exchange::finish() noexcept {
  if (!inferring_) return;
  inference_.finish();
  take_error();
}

void Exchange::cancel() noexcept {
  Job::cancel();
  inference_.cancel();
}

void Exchange::take_error() noexcept {
  if (!inference_.error()) return;
  guarded([this]() -> bool { throw *inference_.error(); });
}

void Exchange::run() noexcept {
  guarded([this] {
    switch (route_.endpoint) {
      case Endpoint::kModelLoad: {
        inference::RepositoryModelLoadRequest request;
        read_body(request_, request);
        request.set_model_name(route_.model);
        load(service_, request);
        return true;
      }
      case Endpoint::kModelUnload: {
        inference::RepositoryModelUnloadRequest request;
        request.set_model_name(route_.model);
        unload(service_, request);
        return true;
      }
      default:
        reply_.body.append(model_->model().to_json());
        compress_reply(request_, reply_);
        return true;
    }
  });
  waiter_.ready();
}

void Exchange::drop(Reason reason) noexcept {
  guarded([reason]() -> bool { throw dropped(reason); });
  waiter_.ready();
}

bool Exchange::leave_to_worker(serving::Scheduler& scheduler) {
  if (!scheduler.submit(*this, model_.get())) throw overloaded();
  return false;
}

template <typename Begin>
bool Exchange::start_inference(InferenceMessage& message, Begin&& begin) {
  const std::optional<Coding> coding = content_coding(request_.content_encoding);
  if (!coding) {
    write_error(
        reply_, 415,
        fmt::format("Content-Encoding '{}' is not supported: send gzip, deflate or identity",
                    request_.content_encoding));
    return true;
  }
  begin(*coding);
  inferring_ = true;
  const bool heavy = *coding != Coding::kIdentity || request_.body.size() > kInlineBytes;
  if (!inference_.begin(model_, message, heavy)) return false;
  take_error();
  return true;
}

void Exchange::find_model() {
  tensorflow::serving::ModelSpec spec;
  spec.set_name(route_.model);
  if (!route_.label.empty()) {
    spec.set_version_label(route_.label);
  } else if (!route_.version.empty()) {
    spec.mutable_version()->set_value(std::stoll(route_.version));
  }
  model_ = find_version(models_.snapshot(), spec);
}

bool Exchange::start_tensorflow() {
  try {
    switch (route_.endpoint) {
      case Endpoint::kPredict:
        find_model();
        return start_inference(predict_, [&](Coding coding) { predict_.begin(request_, coding); });
      case Endpoint::kClassify:
      case Endpoint::kRegress:
        find_model();
        return start_inference(examples_, [&](Coding coding) {
          examples_.begin(request_, coding, route_.endpoint == Endpoint::kRegress);
        });
      case Endpoint::kTensorflowMetadata: {
        find_model();
        tensorflow::serving::SignatureDefMap signatures;
        write_signatures(*model_, signatures);
        reply_.body.append("{\"model_spec\":{\"name\":");
        append_string(reply_.body, model_->name());
        reply_.body.append(",\"signature_name\":\"\",\"version\":");
        append_string(reply_.body, model_->version());
        reply_.body.append("},\"metadata\":{\"signature_def\":");
        append_message(reply_.body, signatures, JsonStyle::kTensorflow);
        reply_.body.append("}}");
        break;
      }
      default: {
        tensorflow::serving::GetModelStatusRequest request;
        request.mutable_model_spec()->set_name(route_.model);
        if (!route_.label.empty()) request.mutable_model_spec()->set_version_label(route_.label);
        if (!route_.version.empty()) {
          request.mutable_model_spec()->mutable_version()->set_value(std::stoll(route_.version));
        }
        tensorflow::serving::GetModelStatusResponse response;
        answer(service_, request, response);
        append_message(reply_.body, response, JsonStyle::kTensorflow);
      }
    }
  } catch (const Error& error) {
    // Here it is a model that was not found.
    if (error.code() != ErrorCode::kNotFound) throw;
    write_error(reply_, 404, error.what());
  }
  compress_reply(request_, reply_);
  return true;
}

void Exchange::answer_control() {
  const bool post = request_.method == "POST";
  Buffer& out = reply_.body;
  switch (route_.endpoint) {
    case Endpoint::kModelConfig: {
      inference::ModelConfigRequest request;
      request.set_name(route_.model);
      request.set_version(route_.version);
      inference::ModelConfigResponse response;
      answer(service_, request, response);
      return append_message(out, response.config(), JsonStyle::kTriton);
    }
    case Endpoint::kStatistics: {
      inference::ModelStatisticsRequest request;
      request.set_name(route_.model);
      request.set_version(route_.version);
      inference::ModelStatisticsResponse response;
      answer(service_, request, response);
      return append_message(out, response, JsonStyle::kTriton);
    }
    case Endpoint::kTraceSettings: {
      if (post) refuse_settings(request_, "this server records no traces");
      out.append(
          R"({"trace_level":["OFF"],"trace_rate":"1000","trace_count":"-1","log_frequency":"0",)"
          R"("trace_file":""})");
      return;
    }
    case Endpoint::kLogSettings: {
      if (post) refuse_settings(request_, "what is logged is set where the server is started");
      out.append(R"({"log_file":"","log_info":true,"log_warning":true,"log_error":true,)"
                 R"("log_verbose_level":0,"log_format":"default"})");
      return;
    }
    case Endpoint::kSharedMemoryStatus: {
      out.push_back('[');
      const char* separator = "";
      for (const SharedMemory::Region& region : service_.shared_memory.regions(route_.region)) {
        out.append(separator);
        separator = ",";
        inference::SystemSharedMemoryStatusResponse::RegionStatus status;
        status.set_name(region.name);
        status.set_key(region.key);
        status.set_offset(region.offset);
        status.set_byte_size(region.byte_size);
        append_message(out, status, JsonStyle::kTriton);
      }
      out.push_back(']');
      return;
    }
    case Endpoint::kSharedMemoryRegister: {
      inference::SystemSharedMemoryRegisterRequest request;
      read_body(request_, request);
      request.set_name(route_.region);
      inference::SystemSharedMemoryRegisterResponse response;
      return answer(service_, request, response);
    }
    case Endpoint::kSharedMemoryUnregister:
      return service_.shared_memory.remove(route_.region);
    default:
      throw Error(ErrorCode::kUnsupported, "there is no GPU, so no shared memory of one");
  }
}

bool Exchange::start() {
  route_.read(request_.target);
  if (route_.endpoint == Endpoint::kUnknown) {
    write_error(reply_, 404, fmt::format("there is nothing at {}", request_.target));
    return true;
  }
  if (route_.endpoint == Endpoint::kMalformed) {
    write_error(reply_, 400,
                fmt::format("Malformed request: {} {}", request_.method, request_.target));
    return true;
  }
  const std::string_view allowed = allowed_methods(route_.endpoint);
  const std::string_view method = request_.method == "HEAD" ? "GET" : request_.method;
  if (allowed.find(method) == std::string_view::npos) {
    // TensorFlow Serving takes this for a request it does not know.
    if (is_tensorflow(route_.endpoint)) {
      write_error(reply_, 400,
                  fmt::format("Malformed request: {} {}", request_.method, request_.target));
      return true;
    }
    write_error(reply_, 405,
                fmt::format("{} is not possible here, but {}", request_.method, allowed));
    reply_.allow = allowed;
    return true;
  }
  switch (route_.endpoint) {
    case Endpoint::kModelLoad:
    case Endpoint::kModelUnload:
      model_.reset();
      return leave_to_worker(service_.control);
    case Endpoint::kTensorflowStatus:
    case Endpoint::kTensorflowMetadata:
    case Endpoint::kPredict:
    case Endpoint::kClassify:
    case Endpoint::kRegress:
      return start_tensorflow();
    default:
      break;
  }
  const serving::Snapshot& models = models_.snapshot();
  if (!route_.model.empty()) {
    const auto& found = models.find(route_.model, route_.version);
    if (model_ != found) model_ = found;
    if (model_ == nullptr) {
      const Error error = models.absence(route_.model, route_.version);
      write_error(reply_, error.code() == ErrorCode::kNotFound ? 404 : 503, error.what());
      return true;
    }
  }
  const bool ready = service_.is_ready();
  const std::string_view why_not = service_.ready ? ",\"error\":\"the server is loading models\"}"
                                                  : ",\"error\":\"the server is shutting down\"}";
  switch (route_.endpoint) {
    case Endpoint::kUnknown:
      break;
    case Endpoint::kLive:
      reply_.body.append("{\"live\":true}");
      break;
    case Endpoint::kReady:
      if (!ready) reply_.status = 503;
      reply_.body.append(ready ? "{\"ready\":true}" : "{\"ready\":false");
      if (!ready) reply_.body.append(why_not);
      break;
    case Endpoint::kMetrics: {
      std::string text;
      serving::write_metrics(models, text);
      reply_.content_type = serving::kMetricsType;
      reply_.body.append(text);
      break;
    }
    case Endpoint::kOpenApi:
      write_openapi(reply_.body);
      break;
    case Endpoint::kApiPage:
      reply_.content_type = "text/html; charset=utf-8";
      write_api_page(reply_.body);
      break;
    case Endpoint::kServerMetadata: {
      inference::ServerMetadataResponse response;
      answer(service_, inference::ServerMetadataRequest(), response);
      append_message(reply_.body, response, JsonStyle::kTriton);
      break;
    }
    case Endpoint::kModels:
      write_model_list(reply_.body, models);
      break;
    case Endpoint::kRepositoryIndex: {
      inference::RepositoryIndexRequest request;
      read_body(request_, request);
      inference::RepositoryIndexResponse response;
      answer(service_, request, response);
      reply_.body.push_back('[');
      for (int i = 0; i < response.models_size(); ++i) {
        if (i != 0) reply_.body.push_back(',');
        append_message(reply_.body, response.models(i), JsonStyle::kTriton);
      }
      reply_.body.push_back(']');
      break;
    }
    case Endpoint::kModelReady:
      // While others are loaded, this one answers.
      if (!service_.ready) reply_.status = 503;
      reply_.body.append("{\"name\":");
      append_string(reply_.body, model_->name());
      reply_.body.append(service_.ready ? ",\"ready\":true}" : ",\"ready\":false");
      if (!service_.ready) reply_.body.append(why_not);
      break;
    case Endpoint::kModelMetadata:
      write_model_metadata(reply_.body, *model_, models);
      break;
    case Endpoint::kModelGraph:
      return leave_to_worker(service_.scheduler);
    case Endpoint::kInfer:
      return start_inference(infer_, [&](Coding coding) { infer_.begin(request_, coding); });
    default:
      answer_control();
  }
  compress_reply(request_, reply_);
  return true;
}

}  // namespace kerf::protocol
