#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "kerf/error.h"
#include "protocol/buffer.h"
#include "protocol/compression.h"

namespace kerf::protocol {

// What an HTTP request says, as far as the protocol cares. Refers to the connection's memory, which
// stays until the reply is made. kBodyPadding bytes behind `body` must be readable.
struct Request {
  std::string_view method;
  std::string_view target;  // path and query, as sent
  std::string_view content_encoding;
  std::string_view accept_encoding;
  std::string_view authorization;
  std::string_view api_key;  // X-API-Key
  std::string_view origin;
  std::optional<std::string_view> json_length;  // Inference-Header-Content-Length
  std::span<const char> body;
};

// What is answered. The body stands in a buffer with room before it, for the server to put the
// reply's head there and send both as one. Reused from request to request.
struct Reply {
  static constexpr std::size_t kHeadRoom = 1024;

  int status = 200;
  std::optional<std::size_t> json_length;  // set if tensors follow the JSON as bytes
  std::string_view content_type;           // empty: JSON, or what json_length says
  std::string_view content_encoding;
  std::string_view allow;        // the methods this path knows, after 405
  std::string_view traceparent;  // of the span that answered, if the client traces
  Buffer body{kHeadRoom};

  void clear() noexcept {
    status = 200;
    json_length.reset();
    content_type = {};
    content_encoding = {};
    allow = {};
    traceparent = {};
    body.clear();
  }
};

// The HTTP status that reports an error of this kind in the handling of a request.
int http_status(ErrorCode code) noexcept;

// Makes `request.body` what it decompresses to, in `decompressed`, with kBodyPadding bytes behind.
// Throws as decompress().
void decompress_body(Request& request, Coding coding, std::size_t limit, Buffer& decompressed);
// Compresses the reply's body, if it is worth it, as the request would have it.
void compress_reply(const Request& request, Reply& reply);

// Makes `reply` the error {"error": message} in the protocol's form.
void write_error(Reply& reply, int status, std::string_view message);

}  // namespace kerf::protocol
