#pragma once

#include <memory>
#include <string>
#include <vector>

#include "protocol/infer_request.h"
#include "protocol/infer_tensors.h"
#include "protocol/inference.h"
#include "protocol/tensorflow_model.h"
#include "tensorflow_serving/prediction_service.pb.h"
#include "tensorflow_serving/session_service.pb.h"

namespace kerf::protocol {

// The inference messages of TensorFlow Serving over gRPC. Each is made for one request, which, like
// the response, outlives it. Making one may throw.

// Feeds and fetches go by signature. By the default one, that of the whole model, any tensors of
// the model may be fed, and any fetched by output_filter.
class PredictMessage final : public InferenceMessage {
 public:
  PredictMessage(const Service& service, const tensorflow::serving::PredictRequest& request,
                 tensorflow::serving::PredictResponse& response);
  const std::shared_ptr<const serving::ServedModel>& model() const { return found_.model; }

  void declare(serving::Call& call) override;
  void read_tensors(serving::Call& call) override { tensors_.read(infer_, call); }
  void write_reply(serving::Call& call) override;

 private:
  const tensorflow::serving::PredictRequest& request_;
  tensorflow::serving::PredictResponse& response_;
  TensorflowModel found_;
  InferRequest infer_;
  InferTensors tensors_;
};

// Feeds and fetches are any tensors, by address.
class SessionRunMessage final : public InferenceMessage {
 public:
  SessionRunMessage(const Service& service, const tensorflow::serving::SessionRunRequest& request,
                    tensorflow::serving::SessionRunResponse& response);
  const std::shared_ptr<const serving::ServedModel>& model() const { return found_.model; }

  void declare(serving::Call& call) override;
  void read_tensors(serving::Call& call) override { tensors_.read(infer_, call); }
  void write_reply(serving::Call& call) override;

 private:
  const tensorflow::serving::SessionRunRequest& request_;
  tensorflow::serving::SessionRunResponse& response_;
  TensorflowModel found_;
  InferRequest infer_;
  InferTensors tensors_;
};

// Classify and Regress: a sample an example, whose features are the signature's inputs. All classes
// of the first output are told, each by its index; a regression is an output of one element.
class ExamplesMessage final : public InferenceMessage {
 public:
  ExamplesMessage(const Service& service, TensorflowModel found,
                  const tensorflow::serving::Input& input,
                  tensorflow::serving::ClassificationResult& result);
  ExamplesMessage(const Service& service, TensorflowModel found,
                  const tensorflow::serving::Input& input,
                  tensorflow::serving::RegressionResult& result);
  const TensorflowModel& found() const { return found_; }
  const std::shared_ptr<const serving::ServedModel>& model() const { return found_.model; }

  void declare(serving::Call& call) override;
  void read_tensors(serving::Call& call) override { tensors_.read(infer_, call); }
  void write_reply(serving::Call& call) override;

 private:
  ExamplesMessage(const Service& service, TensorflowModel found,
                  const tensorflow::serving::Input& input);
  const tensorflow::Feature& feature(const tensorflow::Example& example,
                                     const std::string& name) const;
  void add_feature(const TensorInfo& input);

  TensorflowModel found_;
  std::vector<const tensorflow::Example*> examples_;
  const tensorflow::Example* context_ = nullptr;
  tensorflow::serving::ClassificationResult* classes_ = nullptr;  // one of the two
  tensorflow::serving::RegressionResult* regressions_ = nullptr;
  InferRequest infer_;
  InferTensors tensors_;
};

}  // namespace kerf::protocol
