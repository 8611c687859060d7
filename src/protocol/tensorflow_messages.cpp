#include "protocol/tensorflow_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>
#include <utility>

#include "kerf/error.h"
#include "protocol/tensor_proto.h"
#include "tensor/convert.h"
#include "tensor/packed_strings.h"

namespace kerf::protocol {
namespace {

namespace tfs = tensorflow::serving;

[[noreturn]] void invalid(std::string message, std::string where = {}) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message), std::move(where));
}

std::string names_of(const std::vector<TensorInfo>& tensors) {
  std::string names;
  for (const TensorInfo& tensor : tensors) names += (names.empty() ? "" : ",") + tensor.name;
  return names;
}

bool is_default(const serving::Signature& signature) {
  return signature.name == serving::kDefaultSignature;
}

// Fetches the signature's outputs, or those of them that `filter` names.
template <typename Names>
void add_outputs(const serving::Signature& signature, const Names& filter, InferRequest& request) {
  for (const std::string& name : filter) {
    if (std::ranges::find(request.outputs, name, &RequestOutput::name) != request.outputs.end()) {
      invalid(fmt::format("duplicate output_filter: {}", name));
    }
    if (!is_default(signature) &&
        std::ranges::find(signature.outputs, name, &TensorInfo::name) == signature.outputs.end()) {
      invalid(
          fmt::format("output tensor alias not found in signature: {} Outputs expected to be "
                      "in the set {{{}}}.",
                      name, names_of(signature.outputs)));
    }
    request.outputs.push_back({.name = name});
  }
  if (!filter.empty()) return;
  for (const TensorInfo& output : signature.outputs) {
    request.outputs.push_back({.name = output.name});
  }
}

}  // namespace

PredictMessage::PredictMessage(const Service& service, const tfs::PredictRequest& request,
                               tfs::PredictResponse& response)
    : request_(request),
      response_(response),
      found_(find_model(service, request.model_spec())),
      tensors_(service.shared_memory) {}

void PredictMessage::declare(serving::Call& call) {
  const serving::Signature& signature = *found_.signature;
  // By name: a map has no order of its own, and calls of one form share a plan.
  const std::map<std::string_view, const tensorflow::TensorProto*> inputs = [&] {
    std::map<std::string_view, const tensorflow::TensorProto*> sorted;
    for (const auto& [name, tensor] : request_.inputs()) sorted.emplace(name, &tensor);
    return sorted;
  }();
  const auto is_given = [&](const TensorInfo& input) { return inputs.contains(input.name); };
  if (!is_default(signature) && (inputs.size() != signature.inputs.size() ||
                                 !std::ranges::all_of(signature.inputs, is_given))) {
    std::string given;
    for (const auto& [name, tensor] : inputs)
      given += (given.empty() ? "" : ",") + std::string(name);
    invalid(fmt::format("input keys do not match: sent {{{}}}, but signature {} expects {{{}}}",
                        given, signature.name, names_of(signature.inputs)));
  }
  const std::size_t most_bytes = call.model()->limits().request_bytes;
  for (const auto& [name, tensor] : inputs) add_input(name, *tensor, most_bytes, infer_);
  add_outputs(signature, request_.output_filter(), infer_);
  InferTensors::declare(infer_, call);
}

void PredictMessage::write_reply(serving::Call& call) {
  for (const InferTensors::Output& output : tensors_.outputs(infer_, call)) {
    write_tensor(output, (*response_.mutable_outputs())[std::string(output.name)]);
  }
  write_spec(found_, *response_.mutable_model_spec());
}

SessionRunMessage::SessionRunMessage(const Service& service, const tfs::SessionRunRequest& request,
                                     tfs::SessionRunResponse& response)
    : request_(request),
      response_(response),
      found_(find_model(service, request.model_spec())),
      tensors_(service.shared_memory) {}

void SessionRunMessage::declare(serving::Call& call) {
  if (!request_.target().empty()) {
    invalid(fmt::format("there is no operation to run for its effects: {}", request_.target(0)),
            "target");
  }
  const std::size_t most_bytes = call.model()->limits().request_bytes;
  for (const tensorflow::NamedTensorProto& feed : request_.feed()) {
    add_input(feed.name(), feed.tensor(), most_bytes, infer_);
  }
  for (const std::string& fetch : request_.fetch()) infer_.outputs.push_back({.name = fetch});
  InferTensors::declare(infer_, call);
}

void SessionRunMessage::write_reply(serving::Call& call) {
  for (const InferTensors::Output& output : tensors_.outputs(infer_, call)) {
    tensorflow::NamedTensorProto& named = *response_.add_tensor();
    named.set_name(std::string(output.name));
    write_tensor(output, *named.mutable_tensor());
  }
  write_spec(found_, *response_.mutable_model_spec());
}

ExamplesMessage::ExamplesMessage(const Service& service, TensorflowModel found,
                                 const tfs::Input& input)
    : found_(std::move(found)), tensors_(service.shared_memory) {
  const auto add = [this](const auto& list) {
    for (const tensorflow::Example& example : list.examples()) examples_.push_back(&example);
  };
  if (input.has_example_list()) add(input.example_list());
  if (input.has_example_list_with_context()) {
    add(input.example_list_with_context());
    context_ = &input.example_list_with_context().context();
  }
  if (examples_.empty()) invalid("Input is empty: it has no examples");
}

ExamplesMessage::ExamplesMessage(const Service& service, TensorflowModel found,
                                 const tfs::Input& input, tfs::ClassificationResult& result)
    : ExamplesMessage(service, std::move(found), input) {
  classes_ = &result;
}

ExamplesMessage::ExamplesMessage(const Service& service, TensorflowModel found,
                                 const tfs::Input& input, tfs::RegressionResult& result)
    : ExamplesMessage(service, std::move(found), input) {
  regressions_ = &result;
}

const tensorflow::Feature& ExamplesMessage::feature(const tensorflow::Example& example,
                                                    const std::string& name) const {
  for (const tensorflow::Example* source : {&example, context_}) {
    if (source == nullptr) continue;
    const auto it = source->features().feature().find(name);
    if (it != source->features().feature().end()) return it->second;
  }
  invalid(fmt::format("an example has no feature '{}'; the signature {} needs {}", name,
                      found_.signature->name, names_of(found_.signature->inputs)));
}

void ExamplesMessage::add_feature(const TensorInfo& input) {
  const auto count_of = [](const tensorflow::Feature& feature) {
    return feature.has_float_list()   ? feature.float_list().value_size()
           : feature.has_int64_list() ? feature.int64_list().value_size()
                                      : feature.bytes_list().value_size();
  };
  const int each = count_of(feature(*examples_.front(), input.name));
  const auto kind = feature(*examples_.front(), input.name).kind_case();
  // The elements of a sample, whose unknown dimension, if there is one, follows from their number.
  std::string bytes;
  std::vector<std::string_view> strings;
  const bool as_floats = kind == tensorflow::Feature::kInt64List && is_floating(input.dtype);
  for (const tensorflow::Example* example : examples_) {
    const tensorflow::Feature& values = feature(*example, input.name);
    if (values.kind_case() != kind || count_of(values) != each) {
      invalid(
          fmt::format("feature '{}' has {} values in one example and {} in another, or of "
                      "another kind",
                      input.name, each, count_of(values)));
    }
    if (values.has_float_list()) {
      const auto& list = values.float_list().value();
      bytes.append(reinterpret_cast<const char*>(list.data()), list.size() * sizeof(float));
    } else if (as_floats) {
      for (const std::int64_t value : values.int64_list().value()) {
        const auto number = static_cast<float>(value);
        bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
      }
    } else if (values.has_int64_list()) {
      const auto& list = values.int64_list().value();
      bytes.append(reinterpret_cast<const char*>(list.data()), list.size() * sizeof(std::int64_t));
    } else {
      strings.insert(strings.end(), values.bytes_list().value().begin(),
                     values.bytes_list().value().end());
    }
  }
  RequestInput& request = infer_.inputs.emplace_back();
  request.name = input.name;
  request.shape = input.shape;
  if (request.shape.rank() == 0) invalid(fmt::format("input {} has no batch", input.name));
  request.shape[0] = static_cast<std::int64_t>(examples_.size());
  std::int64_t known = 1;
  std::int64_t* unknown = nullptr;
  for (std::size_t axis = 1; axis < request.shape.rank(); ++axis) {
    std::int64_t& dim = request.shape[axis];
    if (dim != Shape::kUnknown) {
      known *= dim;
    } else if (std::exchange(unknown, &dim) != nullptr) {
      invalid(fmt::format("the shape {} of input {} does not follow from a list of values",
                          input.shape.to_string(), input.name));
    }
  }
  if (unknown != nullptr && known != 0 && each % known == 0) {
    *unknown = each / known;
    known = each;
  }
  if (known != each) {
    invalid(fmt::format("feature '{}' has {} values, but input {} has shape {}", input.name, each,
                        input.name, input.shape.to_string()));
  }
  if (kind == tensorflow::Feature::kBytesList) {
    request.datatype = DType::kString;
    bytes.resize(packed_size(strings));
    write_packed_strings(strings, reinterpret_cast<std::byte*>(bytes.data()));
  } else {
    request.datatype =
        as_floats || kind == tensorflow::Feature::kFloatList ? DType::kFloat32 : DType::kInt64;
  }
  const std::string& kept = infer_.unescaped.emplace_back(std::move(bytes));
  request.binary = std::as_bytes(std::span(kept));
}

void ExamplesMessage::declare(serving::Call& call) {
  for (const TensorInfo& input : found_.signature->inputs) add_feature(input);
  add_outputs(*found_.signature, std::vector<std::string>(), infer_);
  InferTensors::declare(infer_, call);
}

void ExamplesMessage::write_reply(serving::Call& call) {
  const InferTensors::Output& output = tensors_.outputs(infer_, call).front();
  if (!is_floating(output.datatype) || output.shape.rank() == 0 ||
      output.shape[0] != static_cast<std::int64_t>(examples_.size())) {
    invalid(fmt::format("output {} is {} of shape {}: it has no scores of each example",
                        output.name, dtype_protocol_name(output.datatype),
                        output.shape.to_string()));
  }
  const std::size_t each = output.count / examples_.size();
  std::vector<float> scores(output.count);
  convert(output.datatype, output.data, DType::kFloat32, scores.data(), output.count);
  if (regressions_ != nullptr && each != 1) {
    invalid(fmt::format("output {} of shape {} is no regression: it has {} values an example",
                        output.name, output.shape.to_string(), each));
  }
  for (std::size_t i = 0; i < examples_.size(); ++i) {
    if (regressions_ != nullptr) {
      regressions_->add_regressions()->set_value(scores[i]);
      continue;
    }
    tfs::Classifications& classes = *classes_->add_classifications();
    for (std::size_t j = 0; j < each; ++j) {
      tfs::Class& one = *classes.add_classes();
      one.set_label(std::to_string(j));
      one.set_score(scores[i * each + j]);
    }
  }
}

}  // namespace kerf::protocol
