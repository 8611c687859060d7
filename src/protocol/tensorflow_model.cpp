#include "protocol/tensorflow_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "kerf/error.h"
#include "protocol/tensor_proto.h"

namespace kerf::protocol {
namespace {

namespace tfs = tensorflow::serving;

std::int64_t number_of(const std::string& version) {
  std::int64_t number = 0;
  std::from_chars(version.data(), version.data() + version.size(), number);
  return number;
}

tfs::ModelVersionStatus::State state_of(serving::VersionState state) {
  switch (state) {
    case serving::VersionState::kLoading:
      return tfs::ModelVersionStatus::LOADING;
    case serving::VersionState::kReady:
      return tfs::ModelVersionStatus::AVAILABLE;
    case serving::VersionState::kUnloading:
      return tfs::ModelVersionStatus::UNLOADING;
    case serving::VersionState::kUnavailable:
      break;
  }
  return tfs::ModelVersionStatus::END;
}

void write_tensors(const std::vector<TensorInfo>& tensors,
                   google::protobuf::Map<std::string, tensorflow::TensorInfo>& infos) {
  for (const TensorInfo& tensor : tensors) {
    tensorflow::TensorInfo& info = infos[tensor.name];
    info.set_name(tensor.name);
    info.set_dtype(tensorflow_type(tensor.dtype));
    write_shape(tensor.shape, *info.mutable_tensor_shape());
  }
}

}  // namespace

std::shared_ptr<const serving::ServedModel> find_version(const serving::Snapshot& models,
                                                         const tfs::ModelSpec& spec) {
  if (spec.name().empty()) {
    throw Error(ErrorCode::kInvalidArgument, "model_spec has no name");
  }
  if (spec.version_choice_case() == tfs::ModelSpec::kVersionLabel) {
    if (auto model = models.find_label(spec.name(), spec.version_label())) return model;
    if (models.entry(spec.name()) == nullptr) throw models.absence(spec.name());
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("Unrecognized servable version label: {}", spec.version_label()));
  }
  const std::string version = spec.version_choice_case() == tfs::ModelSpec::kVersion
                                  ? std::to_string(spec.version().value())
                                  : std::string();
  if (auto model = models.find(spec.name(), version)) return model;
  const Error absence = models.absence(spec.name(), version);
  if (absence.code() != ErrorCode::kNotFound) throw absence;
  throw Error(
      ErrorCode::kNotFound,
      version.empty()
          ? fmt::format("Servable not found for request: Latest({})", spec.name())
          : fmt::format("Servable not found for request: Specific({}, {})", spec.name(), version));
}

const serving::Signature& find_signature(const serving::ServedModel& model, std::string_view name) {
  const std::vector<serving::Signature>& signatures = model.signatures();
  if (name.empty()) return signatures.front();
  const auto it = std::ranges::find(signatures, name, &serving::Signature::name);
  if (it != signatures.end()) return *it;
  std::string known;
  for (const serving::Signature& signature : signatures) {
    known += (known.empty() ? "" : ", ") + signature.name;
  }
  throw UnknownSignature(
      fmt::format("Serving signature name: \"{}\" not found in signature def; model '{}' has {}",
                  name, model.name(), known));
}

TensorflowModel find_model(const Service& service, const tfs::ModelSpec& spec) {
  TensorflowModel found{.model = find_version(*service.repository->snapshot(), spec)};
  found.signature = &find_signature(*found.model, spec.signature_name());
  return found;
}

void write_spec(const TensorflowModel& found, tfs::ModelSpec& spec) {
  spec.set_name(found.model->name());
  spec.mutable_version()->set_value(number_of(found.model->version()));
  spec.set_signature_name(found.signature->name);
}

void write_signatures(const serving::ServedModel& model, tfs::SignatureDefMap& signatures) {
  for (const serving::Signature& signature : model.signatures()) {
    tensorflow::SignatureDef& def = (*signatures.mutable_signature_def())[signature.name];
    write_tensors(signature.inputs, *def.mutable_inputs());
    write_tensors(signature.outputs, *def.mutable_outputs());
    def.set_method_name("tensorflow/serving/predict");
  }
}

void answer(const Service& service, const tfs::GetModelMetadataRequest& request,
            tfs::GetModelMetadataResponse& response) {
  if (request.metadata_field().empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "GetModelMetadataRequest must specify at least one metadata_field");
  }
  for (const std::string& field : request.metadata_field()) {
    if (field != "signature_def") {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("Metadata field {} is not supported: signature_def is", field));
    }
  }
  tfs::ModelSpec spec = request.model_spec();
  spec.clear_signature_name();
  const TensorflowModel found = find_model(service, spec);
  write_spec(found, *response.mutable_model_spec());
  response.mutable_model_spec()->clear_signature_name();
  tfs::SignatureDefMap signatures;
  write_signatures(*found.model, signatures);
  (*response.mutable_metadata())["signature_def"].PackFrom(signatures);
}

void answer(const Service& service, const tfs::GetModelStatusRequest& request,
            tfs::GetModelStatusResponse& response) {
  const tfs::ModelSpec& spec = request.model_spec();
  if (spec.name().empty()) throw Error(ErrorCode::kInvalidArgument, "Missing ModelSpec");
  const auto models = service.repository->snapshot();
  std::string wanted;
  if (spec.version_choice_case() == tfs::ModelSpec::kVersion) {
    wanted = std::to_string(spec.version().value());
  } else if (spec.version_choice_case() == tfs::ModelSpec::kVersionLabel) {
    wanted = find_version(*models, spec)->version();
  }
  const serving::ModelEntry* entry = models->entry(spec.name());
  // The highest first.
  for (std::size_t i = entry == nullptr ? 0 : entry->versions.size(); i != 0; --i) {
    const serving::ModelVersion& version = entry->versions[i - 1];
    if (!wanted.empty() && version.version != wanted) continue;
    tfs::ModelVersionStatus& status = *response.add_model_version_status();
    status.set_version(number_of(version.version));
    status.set_state(state_of(version.state));
    const bool failed = version.state == serving::VersionState::kUnavailable;
    status.mutable_status()->set_error_code(failed ? tensorflow::error::UNKNOWN
                                                   : tensorflow::error::OK);
    status.mutable_status()->set_error_message(version.reason);
  }
  if (response.model_version_status().empty()) {
    throw Error(ErrorCode::kNotFound,
                fmt::format("Could not find any versions of model {}", spec.name()));
  }
}

}  // namespace kerf::protocol
