#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kerf/error.h"
#include "protocol/service.h"
#include "serving/signature.h"
#include "tensorflow_serving/model_service.pb.h"
#include "tensorflow_serving/prediction_service.pb.h"

namespace kerf::protocol {

// A signature that a model has not: gRPC's FAILED_PRECONDITION, HTTP's 400.
class UnknownSignature final : public Error {
 public:
  explicit UnknownSignature(std::string message)
      : Error(ErrorCode::kInvalidArgument, std::move(message)) {}
};

// A model as TensorFlow Serving's clients ask for it.
struct TensorflowModel {
  std::shared_ptr<const serving::ServedModel> model;
  const serving::Signature* signature = nullptr;  // the model's
};

// Throws Error: kNotFound for a model or version that is not known, kUnavailable for one that is
// not ready, kInvalidArgument for a label that it has not, UnknownSignature.
TensorflowModel find_model(const Service& service, const tensorflow::serving::ModelSpec& spec);
// The version alone.
std::shared_ptr<const serving::ServedModel> find_version(
    const serving::Snapshot& models, const tensorflow::serving::ModelSpec& spec);
// By its name, or with an empty one the default one. Throws UnknownSignature.
const serving::Signature& find_signature(const serving::ServedModel& model, std::string_view name);
// What answers say of it.
void write_spec(const TensorflowModel& found, tensorflow::serving::ModelSpec& spec);

// Signatures of a model. Throws as find_model(), and Error(kInvalidArgument) for metadata other
// than "signature_def".
void answer(const Service& service, const tensorflow::serving::GetModelMetadataRequest& request,
            tensorflow::serving::GetModelMetadataResponse& response);
// The signatures alone, for REST, which prints them without the envelope that gRPC puts them in.
void write_signatures(const serving::ServedModel& model,
                      tensorflow::serving::SignatureDefMap& signatures);
// How far the versions of a model have come.
void answer(const Service& service, const tensorflow::serving::GetModelStatusRequest& request,
            tensorflow::serving::GetModelStatusResponse& response);

}  // namespace kerf::protocol
