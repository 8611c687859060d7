#include "protocol/message.h"

#include <utility>

#include "protocol/infer_request.h"
#include "protocol/json_text.h"

namespace kerf::protocol {

int http_status(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:  // a tensor; unknown models are answered before anything is thrown
      return 400;
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kResourceExhausted:
      return 413;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kDeadlineExceeded:
      return 504;
    case ErrorCode::kInvalidFile:
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

void decompress_body(Request& request, Coding coding, std::size_t limit, Buffer& decompressed) {
  if (coding == Coding::kIdentity) return;
  decompressed.clear();
  decompress(coding, request.body, limit, decompressed);
  decompressed.reserve(kBodyPadding);
  request.body = {decompressed.data(), decompressed.size()};
}

void compress_reply(const Request& request, Reply& reply) {
  constexpr std::size_t kWorthIt = 1024;
  if (request.accept_encoding.empty() || reply.body.size() < kWorthIt) return;
  const Coding coding = accepted_coding(request.accept_encoding);
  if (coding == Coding::kIdentity) return;
  Buffer compressed(Reply::kHeadRoom);
  compress(coding, reply.body.view(), compressed);
  reply.body = std::move(compressed);
  reply.content_encoding = coding_name(coding);
}

void write_error(Reply& reply, int status, std::string_view message) {
  reply.clear();
  reply.status = status;
  reply.body.append("{\"error\":");
  append_string(reply.body, message);
  reply.body.push_back('}');
}

}  // namespace kerf::protocol
