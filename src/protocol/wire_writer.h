#pragma once

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/buffer.h"

namespace kerf::protocol {

// Appending fields of serialized Protocol Buffers messages.

inline void append_varint(Buffer& out, std::uint64_t value) {
  constexpr std::size_t kMost = 10;
  auto* begin = reinterpret_cast<std::uint8_t*>(out.reserve(kMost));
  const std::uint8_t* end =
      google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(value, begin);
  out.commit(static_cast<std::size_t>(end - begin));
}

// The key and the length of a field of bytes (a string, a message, packed numbers).
inline void append_bytes_head(Buffer& out, int field, std::size_t size) {
  using WireFormat = google::protobuf::internal::WireFormatLite;
  append_varint(out, WireFormat::MakeTag(field, WireFormat::WIRETYPE_LENGTH_DELIMITED));
  append_varint(out, size);
}

inline void append_bytes(Buffer& out, int field, std::string_view bytes) {
  append_bytes_head(out, field, bytes.size());
  out.append(bytes);
}

// A serialized message in pieces, so that tensors in it need not be copied: text that is kept here,
// and bytes that lie elsewhere, between two parts of it.
struct MessagePieces {
  struct Inserted {
    std::size_t at = 0;  // behind so many bytes of `text`
    std::span<const std::byte> bytes;
  };
  Buffer text;
  std::vector<Inserted> inserted;

  void clear() noexcept {
    text.clear();
    inserted.clear();
  }
  std::size_t size() const noexcept {
    std::size_t size = text.size();
    for (const Inserted& piece : inserted) size += piece.bytes.size();
    return size;
  }
  // Calls visit(std::string_view, bool kept) for each piece in order; what is not kept lies
  // elsewhere.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    std::size_t begin = 0;
    for (const Inserted& piece : inserted) {
      visit(text.view().substr(begin, piece.at - begin), true);
      visit(std::string_view(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size()),
            false);
      begin = piece.at;
    }
    visit(text.view().substr(begin), true);
  }
};

}  // namespace kerf::protocol
