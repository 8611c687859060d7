#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstdint>
#include <string_view>

#include "kerf/error.h"

namespace kerf::protocol {

// Steps through the fields of a serialized Protocol Buffers message in the order in which they
// stand, without copying what they hold: what generated classes do not offer. All functions throw
// Error(kInvalidArgument) for what is no such message.
//
//   for (WireReader fields(message); fields.next();) {
//     if (fields.field() == 1) name = fields.bytes();
//   }
class WireReader {
 public:
  explicit WireReader(std::string_view message)
      : message_(message),
        stream_(reinterpret_cast<const std::uint8_t*>(message.data()),
                static_cast<int>(message.size())) {}

  // Steps to the next field; false at the end.
  bool next() {
    if (!taken_ && tag_ != 0) skip();
    tag_ = stream_.ReadTag();
    taken_ = false;
    if (tag_ == 0 && !stream_.ConsumedEntireMessage()) damaged();
    return tag_ != 0;
  }

  int field() const noexcept { return WireFormat::GetTagFieldNumber(tag_); }
  bool is_bytes() const noexcept {
    return WireFormat::GetTagWireType(tag_) == WireFormat::WIRETYPE_LENGTH_DELIMITED;
  }

  // The value of this field, each at most once. A field of another type is damage.
  std::string_view bytes() {
    expect(WireFormat::WIRETYPE_LENGTH_DELIMITED);
    std::uint32_t size = 0;
    if (!stream_.ReadVarint32(&size)) damaged();
    const auto at = static_cast<std::size_t>(stream_.CurrentPosition());
    if (size > message_.size() - at || !stream_.Skip(static_cast<int>(size))) damaged();
    return message_.substr(at, size);
  }
  std::uint64_t varint() {
    expect(WireFormat::WIRETYPE_VARINT);
    std::uint64_t value = 0;
    if (!stream_.ReadVarint64(&value)) damaged();
    return value;
  }
  double fixed64() {
    expect(WireFormat::WIRETYPE_FIXED64);
    std::uint64_t bits = 0;
    if (!stream_.ReadLittleEndian64(&bits)) damaged();
    return google::protobuf::internal::WireFormatLite::DecodeDouble(bits);
  }

 private:
  using WireFormat = google::protobuf::internal::WireFormatLite;

  [[noreturn]] static void damaged() {
    throw Error(ErrorCode::kInvalidArgument, "the message is not valid: it cannot be parsed");
  }
  void expect(WireFormat::WireType type) {
    if (WireFormat::GetTagWireType(tag_) != type) damaged();
    taken_ = true;
  }
  void skip() {
    if (!WireFormat::SkipField(&stream_, tag_)) damaged();
  }

  std::string_view message_;
  google::protobuf::io::CodedInputStream stream_;
  std::uint32_t tag_ = 0;
  bool taken_ = true;  // the value of this field was read
};

}  // namespace kerf::protocol
