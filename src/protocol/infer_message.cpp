#include <fmt/format.h>

#include <optional>
#include <string>

#include "inference/grpc_service.pb.h"
#include "kerf/error.h"
#include "protocol/infer_request.h"
#include "protocol/parameters.h"
#include "protocol/wire_reader.h"

namespace kerf::protocol {
namespace {

using inference::InferParameter;
using Message = inference::ModelInferRequest;

[[noreturn]] void invalid(std::string message, std::string where = {}) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message), std::move(where));
}

std::optional<ParameterValue> read_value(std::string_view message) {
  std::optional<ParameterValue> value;
  for (WireReader fields(message); fields.next();) {
    switch (fields.field()) {
      case InferParameter::kBoolParamFieldNumber:
        value = fields.varint() != 0;
        break;
      case InferParameter::kInt64ParamFieldNumber:
        value = static_cast<std::int64_t>(fields.varint());
        break;
      case InferParameter::kStringParamFieldNumber:
        value = fields.bytes();
        break;
      case InferParameter::kDoubleParamFieldNumber:
        value = fields.fixed64();
        break;
      case InferParameter::kUint64ParamFieldNumber:
        value = fields.varint();
        break;
      default:
        break;
    }
  }
  return value;
}

// An entry of a map of parameters: key 1, value 2.
template <typename Owner>
void read_parameter(std::string_view entry, Owner& owner) {
  std::string_view key;
  std::string_view value;
  for (WireReader fields(entry); fields.next();) {
    if (fields.field() == 1) key = fields.bytes();
    if (fields.field() == 2) value = fields.bytes();
  }
  if (const std::optional<ParameterValue> parameter = read_value(value)) {
    set_parameter(key, *parameter, owner);
  }
}

void add_dimension(std::uint64_t value, Shape& shape) {
  const auto dim = static_cast<std::int64_t>(value);
  if (dim < 0) invalid(fmt::format("a dimension is {}", dim), "shape");
  if (shape.rank() == Shape::kMaxRank) {
    invalid(fmt::format("a tensor has at most {} dimensions", Shape::kMaxRank), "shape");
  }
  shape.push_back(dim);
}

// One dimension, or several packed.
void read_shape(WireReader& fields, Shape& shape) {
  if (!fields.is_bytes()) return add_dimension(fields.varint(), shape);
  const std::string_view packed = fields.bytes();
  google::protobuf::io::CodedInputStream stream(
      reinterpret_cast<const std::uint8_t*>(packed.data()), static_cast<int>(packed.size()));
  while (stream.CurrentPosition() < static_cast<int>(packed.size())) {
    std::uint64_t dim = 0;
    if (!stream.ReadVarint64(&dim)) invalid("it is not a list of integers", "shape");
    add_dimension(dim, shape);
  }
}

DType datatype(std::string_view name) {
  if (const std::optional<DType> dtype = dtype_from_protocol_name(name)) return *dtype;
  invalid(fmt::format("'{}' is not a datatype of the protocol (BOOL, UINT8 to UINT64, INT8 to "
                      "INT64, FP16, BF16, FP32, FP64, BYTES)",
                      name),
          "datatype");
}

void read_input(std::string_view message, RequestInput& input) {
  using Input = Message::InferInputTensor;
  std::string_view type;
  for (WireReader fields(message); fields.next();) {
    switch (fields.field()) {
      case Input::kNameFieldNumber:
        input.name = fields.bytes();
        break;
      case Input::kDatatypeFieldNumber:
        type = fields.bytes();
        break;
      case Input::kShapeFieldNumber:
        read_shape(fields, input.shape);
        break;
      case Input::kParametersFieldNumber:
        read_parameter(fields.bytes(), input);
        break;
      case Input::kContentsFieldNumber:
        input.contents = fields.bytes();
        break;
      default:
        break;
    }
  }
  input.datatype = datatype(type);
}

void read_output(std::string_view message, RequestOutput& output) {
  using Output = Message::InferRequestedOutputTensor;
  for (WireReader fields(message); fields.next();) {
    if (fields.field() == Output::kNameFieldNumber) output.name = fields.bytes();
    if (fields.field() == Output::kParametersFieldNumber) read_parameter(fields.bytes(), output);
  }
}

}  // namespace

void read_infer_message(std::string_view message, InferRequest& request) {
  request.clear();
  std::size_t raw = 0;  // entries that were given to inputs
  std::vector<std::string_view>& contents = request.raw;
  for (WireReader fields(message); fields.next();) {
    switch (fields.field()) {
      case Message::kModelNameFieldNumber:
        request.model = fields.bytes();
        break;
      case Message::kModelVersionFieldNumber:
        request.version = fields.bytes();
        break;
      case Message::kIdFieldNumber:
        request.id = fields.bytes();
        break;
      case Message::kParametersFieldNumber:
        read_parameter(fields.bytes(), request);
        break;
      case Message::kInputsFieldNumber: {
        RequestInput& input = request.inputs.emplace_back();
        try {
          read_input(fields.bytes(), input);
        } catch (const Error& error) {
          throw error.within(fmt::format("input {}", input.name));
        }
        break;
      }
      case Message::kOutputsFieldNumber: {
        RequestOutput& output = request.outputs.emplace_back();
        try {
          read_output(fields.bytes(), output);
        } catch (const Error& error) {
          throw error.within(fmt::format("output {}", output.name));
        }
        break;
      }
      case Message::kRawInputContentsFieldNumber:
        contents.push_back(fields.bytes());
        break;
      default:
        break;
    }
  }
  // Raw contents belong to the inputs that are not in shared memory, in order.
  for (RequestInput& input : request.inputs) {
    const std::string where = fmt::format("input {}", input.name);
    if (input.shared) {
      if (input.contents) invalid("it has contents, and is in shared memory", where);
      continue;
    }
    if (input.contents) {
      if (contents.empty()) continue;
      invalid("it has contents, although the request has raw_input_contents", where);
    }
    if (raw == contents.size()) {
      invalid("it has neither contents nor an entry in raw_input_contents", where);
    }
    const std::string_view bytes = contents[raw++];
    input.binary = std::as_bytes(std::span(bytes.data(), bytes.size()));
  }
  if (raw != contents.size()) {
    invalid(fmt::format("raw_input_contents has {} entries, but {} inputs take one",
                        contents.size(), raw));
  }
}

}  // namespace kerf::protocol
