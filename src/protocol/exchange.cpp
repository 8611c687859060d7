#include "protocol/exchange.h"

#include <fmt/format.h>

#include <new>
#include <utility>

#include "kerf/error.h"
#include "protocol/json_text.h"
#include "protocol/metadata.h"

namespace kerf::protocol {

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
    reply_.body.append(model_->model().to_json());
    compress_reply(request_, reply_);
    return true;
  });
  waiter_.ready();
}

void Exchange::drop(Reason reason) noexcept {
  guarded([reason]() -> bool { throw dropped(reason); });
  waiter_.ready();
}

bool Exchange::leave_to_worker() {
  if (!service_.scheduler.submit(*this, model_.get())) throw overloaded();
  return false;
}

bool Exchange::start_inference(InferenceMessage& message, Coding coding) {
  inferring_ = true;
  const bool heavy = coding != Coding::kIdentity || request_.body.size() > kInlineBytes;
  if (!inference_.begin(model_, message, heavy)) return false;
  take_error();
  return true;
}

bool Exchange::start() {
  route_.read(request_.target);
  if (route_.endpoint == Endpoint::kUnknown) {
    write_error(reply_, 404, fmt::format("there is nothing at {}", request_.target));
    return true;
  }
  const std::string_view allowed = allowed_methods(route_.endpoint);
  const bool reads = request_.method == "GET" || request_.method == "HEAD";
  if (allowed == "POST" ? request_.method != "POST" : !reads) {
    write_error(reply_, 405,
                fmt::format("{} is not possible here, but {}", request_.method, allowed));
    reply_.allow = allowed;
    return true;
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
  const bool ready = service_.ready.load(std::memory_order_relaxed);
  switch (route_.endpoint) {
    case Endpoint::kUnknown:
      break;
    case Endpoint::kLive:
      reply_.body.append("{\"live\":true}");
      break;
    case Endpoint::kReady:
      if (!ready) reply_.status = 503;
      reply_.body.append(ready ? "{\"ready\":true}"
                               : "{\"ready\":false,\"error\":\"the server is shutting down\"}");
      break;
    case Endpoint::kServerMetadata:
      write_server_metadata(reply_.body);
      break;
    case Endpoint::kModels:
      write_model_list(reply_.body, models);
      break;
    case Endpoint::kRepositoryIndex:
      write_repository_index(reply_.body, models);
      break;
    case Endpoint::kModelReady:
      if (!ready) reply_.status = 503;
      reply_.body.append("{\"name\":");
      append_string(reply_.body, model_->name());
      reply_.body.append(ready ? ",\"ready\":true}"
                               : ",\"ready\":false,\"error\":\"the server is shutting down\"}");
      break;
    case Endpoint::kModelMetadata:
      write_model_metadata(reply_.body, *model_, models);
      break;
    case Endpoint::kModelGraph:
      return leave_to_worker();
    case Endpoint::kInfer: {
      const std::optional<Coding> coding = content_coding(request_.content_encoding);
      if (!coding) {
        write_error(
            reply_, 415,
            fmt::format("Content-Encoding '{}' is not supported: send gzip, deflate or identity",
                        request_.content_encoding));
        return true;
      }
      infer_.begin(request_, *coding);
      return start_inference(infer_, *coding);
    }
  }
  compress_reply(request_, reply_);
  return true;
}

}  // namespace kerf::protocol
