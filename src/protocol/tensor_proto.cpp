#include "protocol/tensor_proto.h"

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>

#include <array>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "kerf/error.h"
#include "tensor/packed_strings.h"
#include "tensor/visit_integer.h"

namespace kerf::protocol {
namespace {

using tensorflow::TensorProto;

[[noreturn]] void invalid(std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

constexpr std::array kTypes = {
    std::pair{DType::kBool, tensorflow::DT_BOOL},
    std::pair{DType::kUInt8, tensorflow::DT_UINT8},
    std::pair{DType::kUInt16, tensorflow::DT_UINT16},
    std::pair{DType::kUInt32, tensorflow::DT_UINT32},
    std::pair{DType::kUInt64, tensorflow::DT_UINT64},
    std::pair{DType::kInt8, tensorflow::DT_INT8},
    std::pair{DType::kInt16, tensorflow::DT_INT16},
    std::pair{DType::kInt32, tensorflow::DT_INT32},
    std::pair{DType::kInt64, tensorflow::DT_INT64},
    std::pair{DType::kFloat16, tensorflow::DT_HALF},
    std::pair{DType::kBFloat16, tensorflow::DT_BFLOAT16},
    std::pair{DType::kFloat32, tensorflow::DT_FLOAT},
    std::pair{DType::kFloat64, tensorflow::DT_DOUBLE},
    std::pair{DType::kString, tensorflow::DT_STRING},
};

DType dtype_of(tensorflow::DataType type) {
  for (const auto& [dtype, tensorflow_name] : kTypes) {
    if (tensorflow_name == type) return dtype;
  }
  invalid(fmt::format("tensors of {} are not served", tensorflow::DataType_Name(type)));
}

Shape shape_of(const tensorflow::TensorShapeProto& proto) {
  if (proto.unknown_rank()) invalid("its shape has no rank");
  Shape shape;
  for (const auto& dim : proto.dim()) {
    if (dim.size() < 0) invalid(fmt::format("its shape has a dimension of {}", dim.size()));
    shape.push_back(dim.size());
  }
  return shape;
}

// Strings in tensor_content: all lengths as varints, then all bytes.
std::vector<std::string_view> content_strings(const std::string& content, std::size_t count) {
  google::protobuf::io::CodedInputStream stream(
      reinterpret_cast<const std::uint8_t*>(content.data()), static_cast<int>(content.size()));
  if (count > content.size()) invalid("tensor_content is too short for the strings of its shape");
  std::vector<std::uint64_t> sizes(count);
  for (std::uint64_t& size : sizes) {
    if (!stream.ReadVarint64(&size)) invalid("tensor_content ends within the lengths of strings");
  }
  std::string_view rest(content);
  rest.remove_prefix(static_cast<std::size_t>(stream.CurrentPosition()));
  std::vector<std::string_view> strings(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (sizes[i] > rest.size()) invalid("tensor_content ends within a string");
    strings[i] = rest.substr(0, sizes[i]);
    rest.remove_prefix(sizes[i]);
  }
  if (!rest.empty()) invalid("tensor_content goes on behind the last string");
  return strings;
}

// Turns one TensorProto into an input: where its elements lie, and as what.
class InputReader {
 public:
  InputReader(const TensorProto& proto, std::size_t most_bytes, InferRequest& request,
              RequestInput& input)
      : proto_(proto),
        most_bytes_(most_bytes),
        request_(request),
        input_(input),
        count_(static_cast<std::size_t>(input.shape.element_count())) {}

  void read() {
    if (input_.datatype == DType::kString) return read_strings();
    const std::string& content = proto_.tensor_content();
    if (!content.empty()) {
      input_.binary = std::as_bytes(std::span(content));
      return;
    }
    switch (input_.datatype) {
      case DType::kBool:
        return read_list(proto_.bool_val());
      case DType::kFloat32:
        return read_list(proto_.float_val());
      case DType::kFloat64:
        return read_list(proto_.double_val());
      case DType::kInt64:
        return read_list(proto_.int64_val());
      case DType::kUInt32:
        return read_list(proto_.uint32_val());
      case DType::kUInt64:
        return read_list(proto_.uint64_val());
      case DType::kFloat16:
      case DType::kBFloat16:
        return read_halves();
      default:
        // A list of int32, which may be of a smaller type.
        check_range();
        input_.datatype = DType::kInt32;
        return read_list(proto_.int_val());
    }
  }

 private:
  void check_given(std::size_t given) const {
    if (given > count_) {
      invalid(fmt::format("it has {} elements, more than the {} of shape {}", given, count_,
                          input_.shape.to_string()));
    }
    if (given < count_ && count_ > most_bytes_ / element_size(input_.datatype)) {
      invalid(fmt::format("it gives {} of the {} elements of shape {}, too few to fill up", given,
                          count_, input_.shape.to_string()));
    }
  }

  // Memory of the request's for `bytes`.
  char* own(std::size_t bytes) {
    std::string& memory = request_.unescaped.emplace_back(bytes, '\0');
    input_.binary = std::as_bytes(std::span(memory));
    return memory.data();
  }

  template <typename T>
  void read_list(const google::protobuf::RepeatedField<T>& list) {
    const auto given = static_cast<std::size_t>(list.size());
    check_given(given);
    if (given == count_) {
      input_.binary = std::as_bytes(std::span(list.data(), given));
      return;
    }
    char* memory = own(count_ * sizeof(T));
    const T last = given == 0 ? T{} : list[list.size() - 1];
    for (std::size_t i = 0; i < count_; ++i) {
      const T value = i < given ? list[static_cast<int>(i)] : last;
      std::memcpy(memory + i * sizeof(T), &value, sizeof(T));
    }
  }

  void read_halves() {
    const auto given = static_cast<std::size_t>(proto_.half_val_size());
    check_given(given);
    char* memory = own(count_ * sizeof(std::uint16_t));
    std::uint16_t bits = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      if (i < given) bits = static_cast<std::uint16_t>(proto_.half_val(static_cast<int>(i)));
      std::memcpy(memory + i * sizeof bits, &bits, sizeof bits);
    }
  }

  void check_range() const {
    visit_integer(input_.datatype, [&](auto type) {
      for (const std::int32_t value : proto_.int_val()) {
        if (std::in_range<decltype(type)>(value)) continue;
        invalid(
            fmt::format("{} does not fit {}", value, tensorflow::DataType_Name(proto_.dtype())));
      }
    });
  }

  void read_strings() {
    std::vector<std::string_view> strings;
    if (!proto_.tensor_content().empty()) {
      strings = content_strings(proto_.tensor_content(), count_);
    } else {
      check_given(static_cast<std::size_t>(proto_.string_val_size()));
      strings.assign(proto_.string_val().begin(), proto_.string_val().end());
      const std::string_view last = strings.empty() ? std::string_view() : strings.back();
      strings.resize(count_, last);
    }
    const std::size_t bytes = packed_size(strings);
    if (bytes > most_bytes_) invalid("its strings take more bytes than this server's limit");
    write_packed_strings(strings, reinterpret_cast<std::byte*>(own(bytes)));
  }

  const TensorProto& proto_;
  std::size_t most_bytes_;
  InferRequest& request_;
  RequestInput& input_;
  std::size_t count_;
};

template <typename T, typename List>
void append_all(const InferTensors::Output& output, List& list) {
  list.Reserve(static_cast<int>(output.count));
  for (std::size_t i = 0; i < output.count; ++i) {
    T value;
    std::memcpy(&value, output.data + i * sizeof(T), sizeof(T));
    list.AddAlreadyReserved(value);
  }
}

// Of a type whose list holds the same type.
template <typename T>
void copy_all(const InferTensors::Output& output, google::protobuf::RepeatedField<T>& list) {
  list.Resize(static_cast<int>(output.count), T{});
  if (output.count != 0) std::memcpy(list.mutable_data(), output.data, output.count * sizeof(T));
}

}  // namespace

tensorflow::DataType tensorflow_type(DType dtype) noexcept {
  for (const auto& [known, type] : kTypes) {
    if (known == dtype) return type;
  }
  return tensorflow::DT_INVALID;
}

void add_input(std::string_view name, const TensorProto& proto, std::size_t most_bytes,
               InferRequest& request) {
  try {
    RequestInput& input = request.inputs.emplace_back();
    input.name = name;
    input.datatype = dtype_of(proto.dtype());
    input.shape = shape_of(proto.tensor_shape());
    InputReader(proto, most_bytes, request, input).read();
  } catch (const Error& error) {
    throw error.within(fmt::format("input {}", name));
  }
}

void write_shape(const Shape& shape, tensorflow::TensorShapeProto& proto) {
  for (const std::int64_t dim : shape) proto.add_dim()->set_size(dim);
}

void write_tensor(const InferTensors::Output& output, TensorProto& proto) {
  proto.set_dtype(tensorflow_type(output.datatype));
  write_shape(output.shape, *proto.mutable_tensor_shape());
  switch (output.datatype) {
    case DType::kFloat32:
      return copy_all(output, *proto.mutable_float_val());
    case DType::kFloat64:
      return copy_all(output, *proto.mutable_double_val());
    case DType::kInt32:
      return copy_all(output, *proto.mutable_int_val());
    case DType::kInt64:
      return copy_all(output, *proto.mutable_int64_val());
    case DType::kUInt32:
      return copy_all(output, *proto.mutable_uint32_val());
    case DType::kUInt64:
      return copy_all(output, *proto.mutable_uint64_val());
    case DType::kInt8:
      return append_all<std::int8_t>(output, *proto.mutable_int_val());
    case DType::kInt16:
      return append_all<std::int16_t>(output, *proto.mutable_int_val());
    case DType::kUInt8:
      return append_all<std::uint8_t>(output, *proto.mutable_int_val());
    case DType::kUInt16:
      return append_all<std::uint16_t>(output, *proto.mutable_int_val());
    case DType::kFloat16:
    case DType::kBFloat16:
      return append_all<std::uint16_t>(output, *proto.mutable_half_val());
    case DType::kBool:
      return append_all<bool>(output, *proto.mutable_bool_val());
    case DType::kString:
      break;
  }
  const auto* strings = reinterpret_cast<const std::string_view*>(output.data);
  for (std::size_t i = 0; i < output.count; ++i) proto.add_string_val(std::string(strings[i]));
}

}  // namespace kerf::protocol
