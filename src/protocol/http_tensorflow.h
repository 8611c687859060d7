#pragma once

#include <optional>

#include "protocol/buffer.h"
#include "protocol/compression.h"
#include "protocol/infer_request.h"
#include "protocol/infer_tensors.h"
#include "protocol/inference.h"
#include "protocol/message.h"
#include "protocol/service.h"
#include "protocol/tensorflow_messages.h"
#include "tensorflow_serving/prediction_service.pb.h"

namespace kerf::protocol {

// The inference messages of TensorFlow Serving's REST interface: JSON. Reused from request to
// request by one thread at a time.

class HttpPredict final : public InferenceMessage {
 public:
  HttpPredict(const Service& service, Reply& reply)
      : service_(service), tensors_(service.shared_memory), reply_(reply) {}

  // The message to be read next. It stays until the reply is written.
  void begin(const Request& request, Coding coding) {
    request_ = request;
    coding_ = coding;
  }

  void declare(serving::Call& call) override;
  void read_tensors(serving::Call& call) override { tensors_.read(infer_, call); }
  void write_reply(serving::Call& call) override;

 private:
  const Service& service_;
  Request request_;
  Coding coding_ = Coding::kIdentity;
  Buffer decompressed_;
  bool row_ = false;
  InferRequest infer_;
  InferTensors tensors_;
  Reply& reply_;
};

// :classify and :regress.
class HttpExamples final : public InferenceMessage {
 public:
  HttpExamples(const Service& service, Reply& reply) : service_(service), reply_(reply) {}

  void begin(const Request& request, Coding coding, bool regress) {
    request_ = request;
    coding_ = coding;
    regress_ = regress;
  }

  void declare(serving::Call& call) override;
  void read_tensors(serving::Call& call) override { message_->read_tensors(call); }
  void write_reply(serving::Call& call) override;

 private:
  const Service& service_;
  Request request_;
  Coding coding_ = Coding::kIdentity;
  bool regress_ = false;
  Buffer decompressed_;
  tensorflow::serving::Input input_;
  tensorflow::serving::ClassificationResult classes_;
  tensorflow::serving::RegressionResult regressions_;
  std::optional<ExamplesMessage> message_;
  Reply& reply_;
};

}  // namespace kerf::protocol
