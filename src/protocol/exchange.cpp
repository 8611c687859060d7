#include "protocol/exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <new>
#include <utility>

#include "kerf/error.h"
#include "protocol/json_text.h"
#include "protocol/metadata.h"
#include "protocol/tensor_data.h"

namespace kerf::protocol {
namespace {

// Reading or writing more than this takes longer than a hop to a worker.
constexpr std::size_t kInlineBytes = std::size_t{32} << 10;

constexpr std::string_view kOverloaded =
    "the server is overloaded: its queue is full; try again later";

std::size_t element_count(const TensorInfo& tensor) {
  return static_cast<std::size_t>(tensor.shape.element_count());
}

using serving::Call;

std::string where_input(std::string_view name) { return fmt::format("input {}", name); }

// The JSON part of a body, by the Inference-Header-Content-Length header.
std::size_t json_size(const Request& request) {
  if (!request.json_length) return request.body.size();
  const std::string_view text = *request.json_length;
  std::size_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw Error(ErrorCode::kInvalidArgument, fmt::format("'{}' is not a size in bytes", text),
                "Inference-Header-Content-Length");
  }
  if (size > request.body.size()) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("it is {}, but the body has {} bytes", size, request.body.size()),
                "Inference-Header-Content-Length");
  }
  return size;
}

// What can be told from the declaration alone; so nothing is compiled or allocated for a lie.
void check_size(const RequestInput& input) {
  const auto count = static_cast<std::size_t>(input.shape.element_count());
  if (!input.json.empty()) {
    // "[1,2]": an element takes two characters at least.
    if (count > input.json.size() / 2) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("the data is too short for the {} elements of shape {}", count,
                              input.shape.to_string()));
    }
  } else if (input.datatype == DType::kString) {
    // Each has four bytes of length.
    if (count > input.binary.size() / 4) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} bytes are too few for the {} strings of shape {}",
                              input.binary.size(), count, input.shape.to_string()));
    }
  } else if (input.binary.size() != count * dtype_size(input.datatype)) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("shape {} of {} needs {} bytes, but {} are given",
                            input.shape.to_string(), dtype_protocol_name(input.datatype),
                            count * dtype_size(input.datatype), input.binary.size()));
  }
}

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
  call_.clear();
  models_.rest();
}

bool Exchange::begin(const Request& request) noexcept {
  request_ = request;
  reply_.clear();
  reset_job();
  unwritten_ = false;
  return guarded([this] { return start(); });
}

void Exchange::finish() noexcept {
  if (!std::exchange(unwritten_, false)) return;
  guarded([this] {
    write_result();
    return true;
  });
}

void Exchange::cancel() noexcept {
  Job::cancel();
  call_.cancel();
}

void Exchange::run() noexcept {
  const bool complete = guarded([this] {
    switch (step_) {
      case Step::kGraph:
        reply_.body.append(call_.model()->model().to_json());
        compress_reply();
        return true;
      case Step::kRead:
        read();
        [[fallthrough]];
      case Step::kTarget:
        if (!call_.find_target()) call_.make_target();
    }
    return compute();
  });
  if (complete) waiter_.ready();
}

void Exchange::drop(Reason reason) noexcept {
  guarded([this, reason] {
    if (reason == Reason::kDeadline) {
      write_error(reply_, 504, "the request's time was over before its turn came");
    } else {
      write_error(reply_, 503,
                  reason == Reason::kStopping ? "the server is shutting down"
                                              : "the request was cancelled");
    }
    return true;
  });
  waiter_.ready();
}

void Exchange::finished(Call& call) noexcept {
  unwritten_ = true;
  // A large reply would keep the caller's thread from other connections.
  if (!call.error() && call.tensor_bytes() > kInlineBytes) finish();
  waiter_.ready();
}

bool Exchange::leave_to_worker(Step step) {
  step_ = step;
  if (!service_.scheduler.submit(*this, call_.model().get())) {
    throw Error(ErrorCode::kUnavailable, std::string(kOverloaded));
  }
  return false;
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
    call_.begin(models.find(route_.model, route_.version));
    if (call_.model() == nullptr) {
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
      append_string(reply_.body, call_.model()->name());
      reply_.body.append(ready ? ",\"ready\":true}"
                               : ",\"ready\":false,\"error\":\"the server is shutting down\"}");
      break;
    case Endpoint::kModelMetadata:
      write_model_metadata(reply_.body, *call_.model(), models);
      break;
    case Endpoint::kModelGraph:
      return leave_to_worker(Step::kGraph);
    case Endpoint::kInfer:
      return start_infer();
  }
  compress_reply();
  return true;
}

bool Exchange::start_infer() {
  const std::optional<Coding> coding = content_coding(request_.content_encoding);
  if (!coding) {
    write_error(
        reply_, 415,
        fmt::format("Content-Encoding '{}' is not supported: send gzip, deflate or identity",
                    request_.content_encoding));
    return true;
  }
  coding_ = *coding;
  if (coding_ != Coding::kIdentity || request_.body.size() > kInlineBytes) {
    return leave_to_worker(Step::kRead);
  }
  read();
  if (!call_.find_target()) return leave_to_worker(Step::kTarget);
  return compute();
}

void Exchange::read() {
  if (coding_ != Coding::kIdentity) {
    decompressed_.clear();
    decompress(coding_, request_.body, service_.limits.request_bytes, decompressed_);
    decompressed_.reserve(kBodyPadding);
    request_.body = {decompressed_.data(), decompressed_.size()};
  }
  const std::size_t json = json_size(request_);
  if (json == 0 && request_.json_length) {
    read_raw_request(request_.body, call_.model()->model().inputs(), infer_);
  } else {
    read_infer_request(request_.body, json, infer_);
  }

  for (const RequestInput& input : infer_.inputs) {
    call_.feed(input.name, input.shape);
    try {
      check_size(input);
    } catch (const Error& error) {
      throw error.within(where_input(input.name));
    }
  }
  for (const RequestOutput& output : infer_.outputs) call_.fetch(output.name);
}

bool Exchange::compute() {
  const std::vector<TensorInfo>& fetches = call_.fetches();
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    const DType dtype = fetches[i].dtype;
    if (!is_binary(i) && (dtype == DType::kFloat16 || dtype == DType::kBFloat16)) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("{} cannot be returned as JSON: ask for it with the parameter "
                              "binary_data, or binary_data_output",
                              dtype_protocol_name(dtype)),
                  fmt::format("output {}", fetches[i].name));
    }
  }
  serving::Scheduler& scheduler = service_.scheduler;
  if (!scheduler.admits(call_)) throw Error(ErrorCode::kUnavailable, std::string(kOverloaded));
  read_tensors();
  if (call_.target().lane == serving::Lane::kCaller) {
    scheduler.run(call_);
    write_result();
    return true;
  }
  if (!scheduler.submit(call_, *this)) {
    throw Error(ErrorCode::kUnavailable, std::string(kOverloaded));
  }
  return false;
}

void Exchange::read_tensors() {
  call_.allocate();
  std::size_t text = 0;
  for (const RequestInput& input : infer_.inputs) {
    if (input.datatype == DType::kString) text += input.json.size();
  }
  unescaped_.clear();
  unescaped_.reserve(text);
  const std::vector<TensorInfo>& feeds = call_.feeds();
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    const RequestInput& input = infer_.inputs[i];
    const TensorInfo& feed = feeds[i];
    try {
      check_datatype(input.datatype, feed.dtype);
      if (!input.json.empty()) {
        read_json_data(input.json, input.datatype, feed.dtype, input.shape, call_.feed_memory(i),
                       unescaped_);
      } else {
        const auto count = static_cast<std::size_t>(input.shape.element_count());
        read_binary_data(input.binary, input.datatype, feed.dtype, count, call_.feed_memory(i));
      }
    } catch (const Error& error) {
      throw error.within(where_input(input.name));
    }
  }
}

bool Exchange::is_binary(std::size_t output) const {
  if (infer_.outputs.empty()) return infer_.binary_output;
  return infer_.outputs[output].binary.value_or(infer_.binary_output);
}

// The characters of strings come on top of what the shapes say.
void Exchange::check_reply_size() const {
  const std::vector<TensorInfo>& fetches = call_.fetches();
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    if (fetches[i].dtype != DType::kString) continue;
    bytes += binary_size(DType::kString, call_.fetched(i), element_count(fetches[i]));
  }
  if (bytes > service_.limits.reply_bytes) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("the strings of the reply take {} bytes, more than this server's limit "
                            "of {}: ask for fewer tensors, or send smaller batches",
                            bytes, service_.limits.reply_bytes));
  }
}

void Exchange::write_result() {
  if (call_.error()) throw *call_.error();
  check_reply_size();
  Buffer& out = reply_.body;
  out.append("{\"model_name\":");
  append_string(out, call_.model()->name());
  out.append(",\"model_version\":");
  append_string(out, call_.model()->version());
  if (infer_.id) {
    out.append(",\"id\":");
    append_string(out, *infer_.id);
  }
  out.append(",\"outputs\":[");
  const std::vector<TensorInfo>& fetches = call_.fetches();
  bool blobs = false;
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    if (i != 0) out.push_back(',');
    write_output(i, call_.fetched(i));
    blobs = blobs || (is_binary(i) && Call::byte_size(fetches[i]) != 0);
  }
  out.append("]}");
  if (!blobs) return compress_reply();
  reply_.json_length = out.size();
  for (std::size_t i = 0; i < fetches.size(); ++i) {
    if (!is_binary(i)) continue;
    append_binary_data(out, fetches[i].dtype, call_.fetched(i), element_count(fetches[i]));
  }
  compress_reply();
}

void Exchange::write_output(std::size_t index, const std::byte* data) {
  Buffer& out = reply_.body;
  const TensorInfo& fetch = call_.fetches()[index];
  out.append("{\"name\":");
  append_string(out, fetch.name);
  out.append(",\"datatype\":\"");
  out.append(dtype_protocol_name(fetch.dtype));
  out.append("\",\"shape\":[");
  for (std::size_t axis = 0; axis < fetch.shape.rank(); ++axis) {
    if (axis != 0) out.push_back(',');
    append_integer(out, fetch.shape[axis]);
  }
  out.push_back(']');
  if (is_binary(index)) {
    out.append(",\"parameters\":{\"binary_data_size\":");
    append_integer(out, std::uint64_t{binary_size(fetch.dtype, data, element_count(fetch))});
    out.push_back('}');
  } else {
    out.append(",\"data\":");
    append_json_data(out, fetch.dtype, data, element_count(fetch));
  }
  out.push_back('}');
}

void Exchange::compress_reply() {
  constexpr std::size_t kWorthIt = 1024;
  if (request_.accept_encoding.empty() || reply_.body.size() < kWorthIt) return;
  const Coding coding = accepted_coding(request_.accept_encoding);
  if (coding == Coding::kIdentity) return;
  Buffer compressed(Reply::kHeadRoom);
  compress(coding, reply_.body.view(), compressed);
  reply_.body = std::move(compressed);
  reply_.content_encoding = coding_name(coding);
}

}  // namespace kerf::protocol
