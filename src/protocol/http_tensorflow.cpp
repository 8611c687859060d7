#include "protocol/http_tensorflow.h"

#include <span>

#include "protocol/examples_json.h"
#include "protocol/json_text.h"
#include "protocol/predict_json.h"

namespace kerf::protocol {

void HttpPredict::declare(serving::Call& call) {
  decompress_body(request_, coding_, service_.limits.request_bytes, decompressed_);
  const PredictJson json = read_predict_json(request_.body);
  row_ = json.row;
  const serving::Signature& signature = find_signature(*call.model(), json.signature);
  read_predict_tensors(json, signature, infer_);
  for (const TensorInfo& output : signature.outputs) {
    infer_.outputs.push_back({.name = output.name});
  }
  InferTensors::declare(infer_, call);
}

void HttpPredict::write_reply(serving::Call& call) {
  write_predict_json(reply_.body, tensors_.outputs(infer_, call), row_);
  compress_reply(request_, reply_);
}

void HttpExamples::declare(serving::Call& call) {
  decompress_body(request_, coding_, service_.limits.request_bytes, decompressed_);
  const serving::Signature& signature =
      find_signature(*call.model(), read_examples_json(request_.body, input_));
  classes_.Clear();
  regressions_.Clear();
  const TensorflowModel found{.model = call.model(), .signature = &signature};
  if (regress_) {
    message_.emplace(service_, found, input_, regressions_);
  } else {
    message_.emplace(service_, found, input_, classes_);
  }
  message_->declare(call);
}

void HttpExamples::write_reply(serving::Call& call) {
  message_->write_reply(call);
  Buffer& out = reply_.body;
  out.append("{\"results\":[");
  const char* separator = "";
  for (const auto& regression : regressions_.regressions()) {
    out.append(separator);
    separator = ",";
    append_float(out, regression.value());
  }
  for (const auto& classes : classes_.classifications()) {
    out.append(separator);
    separator = ",";
    const char* begin = "[[";
    for (const auto& one : classes.classes()) {
      out.append(begin);
      begin = ",[";
      append_string(out, one.label());
      out.push_back(',');
      append_float(out, one.score());
      out.push_back(']');
    }
    out.push_back(']');
  }
  out.append("]}");
  compress_reply(request_, reply_);
}

}  // namespace kerf::protocol
