#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "protocol/buffer.h"

namespace kerf::protocol {

enum class Coding : std::uint8_t { kIdentity, kGzip, kDeflate };

// Its name in HTTP headers; empty for kIdentity.
std::string_view coding_name(Coding coding) noexcept;

// What a Content-Encoding header says: gzip, deflate (RFC 1950), or identity, also where it is
// empty; nothing for any other.
std::optional<Coding> content_coding(std::string_view header) noexcept;

// The coding a client would have its reply in, by its Accept-Encoding header and its q-values.
Coding accepted_coding(std::string_view header) noexcept;

// Appends what `body` decompresses to. Throws Error(kInvalidArgument) for damaged data and
// Error(kResourceExhausted) beyond `limit` bytes.
void decompress(Coding coding, std::span<const char> body, std::size_t limit, Buffer& out);

// Appends `body` compressed.
void compress(Coding coding, std::string_view body, Buffer& out);

}  // namespace kerf::protocol
