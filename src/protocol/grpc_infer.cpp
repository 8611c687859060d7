#include "protocol/grpc_infer.h"

#include <new>

#include "inference/grpc_service.pb.h"
#include "protocol/tensor_data.h"

namespace kerf::protocol {

namespace {

using Response = inference::ModelInferResponse;
using Output = Response::InferOutputTensor;

// {"shared_memory_region": region, "shared_memory_byte_size": bytes}, as map entries of field
// `parameters`.
void append_shared(Buffer& out, std::string_view region, std::size_t bytes) {
  const auto append = [&out](std::string_view key, const inference::InferParameter& value) {
    const std::string text = value.SerializeAsString();
    Buffer entry;
    append_bytes(entry, 1, key);
    append_bytes(entry, 2, text);
    append_bytes(out, Output::kParametersFieldNumber, entry.view());
  };
  inference::InferParameter name;
  name.set_string_param(std::string(region));
  append("shared_memory_region", name);
  inference::InferParameter size;
  size.set_int64_param(static_cast<std::int64_t>(bytes));
  append("shared_memory_byte_size", size);
}

}  // namespace

bool GrpcInfer::begin(std::string_view request, serving::Clock::time_point deadline) noexcept {
  // Beyond this, copying and converting elements takes longer than a hop to a worker.
  constexpr std::size_t kHeavy = std::size_t{256} << 10;
  refused_.reset();
  reply_.clear();
  try {
    read_infer_message(request, request_);
    const std::shared_ptr<const serving::Snapshot> models = service_.repository->snapshot();
    std::shared_ptr<const serving::ServedModel> model =
        models->find(request_.model, request_.version);
    if (model == nullptr) throw models->absence(request_.model, request_.version);
    return inference_.begin(std::move(model), *this, request.size() > kHeavy, deadline);
  } catch (const Error& error) {
    refused_ = error;
  } catch (const std::exception&) {
    refused_.emplace(ErrorCode::kUnavailable, std::string());  // there is no memory
  }
  return true;
}

void GrpcInfer::write_reply(serving::Call& call) {
  Buffer& out = reply_.text;
  append_bytes(out, Response::kModelNameFieldNumber, call.model()->name());
  append_bytes(out, Response::kModelVersionFieldNumber, call.model()->version());
  if (request_.id) append_bytes(out, Response::kIdFieldNumber, *request_.id);
  const std::vector<InferTensors::Output>& outputs = tensors_.outputs(request_, call);
  for (const InferTensors::Output& output : outputs) write_output(output);
  for (const InferTensors::Output& output : outputs) {
    // Every output has its entry, an empty one if its elements are in shared memory: some clients
    // read nothing else.
    const std::size_t bytes = output.shared != nullptr ? 0 : output.bytes;
    append_bytes_head(out, Response::kRawOutputContentsFieldNumber, bytes);
    if (bytes == 0) continue;
    if (output.datatype == DType::kString) {
      append_binary_data(out, output.datatype, output.data, output.count);
    } else {
      reply_.inserted.push_back({out.size(), {output.data, bytes}});
    }
  }
}

void GrpcInfer::write_output(const InferTensors::Output& output) {
  Buffer& message = scratch_;
  message.clear();
  append_bytes(message, Output::kNameFieldNumber, output.name);
  append_bytes(message, Output::kDatatypeFieldNumber, dtype_protocol_name(output.datatype));
  if (output.shape.rank() != 0) {
    std::size_t size = 0;
    for (const std::int64_t dim : output.shape) {
      size +=
          google::protobuf::io::CodedOutputStream::VarintSize64(static_cast<std::uint64_t>(dim));
    }
    append_bytes_head(message, Output::kShapeFieldNumber, size);
    for (const std::int64_t dim : output.shape) {
      append_varint(message, static_cast<std::uint64_t>(dim));
    }
  }
  if (output.shared != nullptr) append_shared(message, output.shared->region, output.bytes);
  append_bytes(reply_.text, Response::kOutputsFieldNumber, message.view());
}

}  // namespace kerf::protocol
