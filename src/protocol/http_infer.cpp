#include "protocol/http_infer.h"

#include <fmt/format.h>

#include <charconv>

#include "kerf/error.h"
#include "protocol/json_text.h"
#include "protocol/tensor_data.h"

namespace kerf::protocol {
namespace {

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

}  // namespace

void HttpInfer::declare(serving::Call& call) {
  decompress_body(request_, coding_, service_.limits.request_bytes, decompressed_);
  const std::size_t json = json_size(request_);
  if (json == 0 && request_.json_length) {
    read_raw_request(request_.body, call.model()->model().inputs(), infer_);
  } else {
    read_infer_request(request_.body, json, infer_);
  }
  InferTensors::declare(infer_, call);
}

void HttpInfer::read_tensors(serving::Call& call) {
  const std::vector<TensorInfo>& fetches = call.fetches();
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
  tensors_.read(infer_, call);
}

bool HttpInfer::is_binary(std::size_t output) const {
  if (infer_.outputs.empty()) return infer_.binary_output;
  const RequestOutput& wanted = infer_.outputs[output];
  return !wanted.shared && wanted.binary.value_or(infer_.binary_output);
}

void HttpInfer::write_reply(serving::Call& call) {
  const std::vector<InferTensors::Output>& outputs = tensors_.outputs(infer_, call);
  Buffer& out = reply_.body;
  out.append("{\"model_name\":");
  append_string(out, call.model()->name());
  out.append(",\"model_version\":");
  append_string(out, call.model()->version());
  if (infer_.id) {
    out.append(",\"id\":");
    append_string(out, *infer_.id);
  }
  out.append(",\"outputs\":[");
  bool blobs = false;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (i != 0) out.push_back(',');
    write_output(outputs[i], is_binary(i));
    blobs = blobs || (is_binary(i) && outputs[i].bytes != 0);
  }
  out.append("]}");
  if (blobs) {
    reply_.json_length = out.size();
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      if (!is_binary(i)) continue;
      append_binary_data(out, outputs[i].datatype, outputs[i].data, outputs[i].count);
    }
  }
  compress_reply(request_, reply_);
}

void HttpInfer::write_output(const InferTensors::Output& output, bool binary) {
  Buffer& out = reply_.body;
  out.append("{\"name\":");
  append_string(out, output.name);
  out.append(",\"datatype\":\"");
  out.append(dtype_protocol_name(output.datatype));
  out.append("\",\"shape\":[");
  for (std::size_t axis = 0; axis < output.shape.rank(); ++axis) {
    if (axis != 0) out.push_back(',');
    append_integer(out, output.shape[axis]);
  }
  out.push_back(']');
  if (output.shared != nullptr) {
    out.append(",\"parameters\":{\"shared_memory_region\":");
    append_string(out, output.shared->region);
    out.append(",\"shared_memory_byte_size\":");
    append_integer(out, std::uint64_t{output.bytes});
    out.push_back('}');
  } else if (binary) {
    out.append(",\"parameters\":{\"binary_data_size\":");
    append_integer(out, std::uint64_t{output.bytes});
    out.push_back('}');
  } else {
    out.append(",\"data\":");
    append_json_data(out, output.datatype, output.data, output.count);
  }
  out.push_back('}');
}

}  // namespace kerf::protocol
