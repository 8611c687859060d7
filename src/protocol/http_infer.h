#pragma once

#include <cstddef>

#include "protocol/buffer.h"
#include "protocol/compression.h"
#include "protocol/infer_request.h"
#include "protocol/infer_tensors.h"
#include "protocol/inference.h"
#include "protocol/message.h"
#include "protocol/service.h"

namespace kerf::protocol {

// The inference messages of the Open Inference Protocol over HTTP: JSON, and tensors as bytes
// behind it. Reused from request to request by one thread at a time.
class HttpInfer final : public InferenceMessage {
 public:
  HttpInfer(const Service& service, Reply& reply)
      : service_(service), tensors_(service.shared_memory), reply_(reply) {}

  // The message to be read next. It stays until the reply is written.
  void begin(const Request& request, Coding coding) {
    request_ = request;
    coding_ = coding;
  }

  void declare(serving::Call& call) override;
  void read_tensors(serving::Call& call) override;
  void write_reply(serving::Call& call) override;

 private:
  bool is_binary(std::size_t output) const;
  void write_output(const InferTensors::Output& output, bool binary);

  const Service& service_;
  Request request_;
  Coding coding_ = Coding::kIdentity;
  Buffer decompressed_;
  InferRequest infer_;
  InferTensors tensors_;
  Reply& reply_;
};

}  // namespace kerf::protocol
