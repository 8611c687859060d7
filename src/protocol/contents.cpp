#include "protocol/contents.h"

#include <fmt/format.h>

#include <cstdint>
#include <span>
#include <utility>

#include "inference/grpc_service.pb.h"
#include "kerf/error.h"
#include "protocol/tensor_data.h"
#include "protocol/wire_reader.h"
#include "tensor/visit_integer.h"

namespace kerf::protocol {
namespace {

[[noreturn]] void invalid(std::string message) {
  throw Error(ErrorCode::kInvalidArgument, std::move(message));
}

void check_count(DType declared, std::size_t given, std::size_t count) {
  if (given == count) return;
  invalid(fmt::format("the contents list of {} has {} elements, but the shape needs {}",
                      dtype_protocol_name(declared), given, count));
}

void read_strings(std::string_view message, std::size_t count, std::byte* out) {
  auto* strings = reinterpret_cast<std::string_view*>(out);
  std::size_t given = 0;
  for (WireReader fields(message); fields.next();) {
    if (fields.field() != inference::InferTensorContents::kBytesContentsFieldNumber) continue;
    const std::string_view value = fields.bytes();
    if (given < count) strings[given] = value;
    ++given;
  }
  check_count(DType::kString, given, count);
}

template <typename List>
void read_list(const List& list, DType stored, DType declared, DType wanted, std::size_t count,
               std::byte* out) {
  check_count(declared, static_cast<std::size_t>(list.size()), count);
  read_binary_data(std::as_bytes(std::span(list.data(), count)), stored, wanted, count, out);
}

// Of integers that may be of a wider type than they are declared to be.
template <typename List>
void read_integers(const List& list, DType stored, DType declared, DType wanted, std::size_t count,
                   std::byte* out) {
  visit_integer(declared, [&](auto type) {
    for (int i = 0; stored != declared && i < list.size(); ++i) {
      if (std::in_range<decltype(type)>(list[i])) continue;
      invalid(
          fmt::format("element {} does not fit {}: {}", i, dtype_protocol_name(declared), list[i]));
    }
  });
  read_list(list, stored, declared, wanted, count, out);
}

}  // namespace

void read_contents(std::string_view message, DType declared, DType wanted, std::size_t count,
                   std::byte* out) {
  if (declared == DType::kString) return read_strings(message, count, out);
  inference::InferTensorContents contents;
  if (!contents.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
    invalid("the contents are not a valid InferTensorContents message");
  }
  switch (declared) {
    case DType::kBool: {
      check_count(declared, static_cast<std::size_t>(contents.bool_contents_size()), count);
      for (int i = 0; i < contents.bool_contents_size(); ++i) {
        out[i] = static_cast<std::byte>(contents.bool_contents(i));
      }
      return;
    }
    case DType::kInt8:
    case DType::kInt16:
    case DType::kInt32:
      return read_integers(contents.int_contents(), DType::kInt32, declared, wanted, count, out);
    case DType::kInt64:
      return read_integers(contents.int64_contents(), DType::kInt64, declared, wanted, count, out);
    case DType::kUInt8:
    case DType::kUInt16:
    case DType::kUInt32:
      return read_integers(contents.uint_contents(), DType::kUInt32, declared, wanted, count, out);
    case DType::kUInt64:
      return read_integers(contents.uint64_contents(), DType::kUInt64, declared, wanted, count,
                           out);
    case DType::kFloat32:
      return read_list(contents.fp32_contents(), DType::kFloat32, declared, wanted, count, out);
    case DType::kFloat64:
      return read_list(contents.fp64_contents(), DType::kFloat64, declared, wanted, count, out);
    default:
      invalid(fmt::format("{} has no contents list: send it in raw_input_contents",
                          dtype_protocol_name(declared)));
  }
}

}  // namespace kerf::protocol
