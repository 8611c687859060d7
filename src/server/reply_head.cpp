#include "server/reply_head.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/status.hpp>
#include <charconv>
#include <cstring>

namespace kerf::server {
namespace {

// Text put together in memory of fixed size, which the fixed set of headers cannot exceed.
class Text {
 public:
  void add(std::string_view text) noexcept {
    std::copy(text.begin(), text.end(), bytes_.data() + size_);
    size_ += text.size();
  }
  void add(std::size_t number) noexcept {
    char* begin = bytes_.data() + size_;
    size_ += static_cast<std::size_t>(
        std::to_chars(begin, bytes_.data() + bytes_.size(), number).ptr - begin);
  }
  std::string_view view() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<char, protocol::Reply::kHeadRoom> bytes_;
  std::size_t size_ = 0;
};

}  // namespace

std::span<const char> write_head(protocol::Reply& reply, const ReplyHead& head) {
  Text text;
  const int status = reply.status;
  if (status == 200) {
    text.add("HTTP/1.1 200 OK\r\n");
  } else {
    text.add("HTTP/1.1 ");
    text.add(static_cast<std::size_t>(status));
    text.add(" ");
    const boost::beast::string_view reason =
        boost::beast::http::obsolete_reason(static_cast<boost::beast::http::status>(status));
    text.add({reason.data(), reason.size()});
    text.add("\r\n");
  }
  if (reply.json_length) {
    text.add("Content-Type: application/octet-stream\r\nInference-Header-Content-Length: ");
    text.add(*reply.json_length);
    text.add("\r\n");
  } else if (!reply.content_type.empty()) {
    text.add("Content-Type: ");
    text.add(reply.content_type);
    text.add("\r\n");
  } else {
    text.add("Content-Type: application/json\r\n");
  }
  if (!reply.content_encoding.empty()) {
    text.add("Content-Encoding: ");
    text.add(reply.content_encoding);
    text.add("\r\n");
  }
  if (!reply.allow.empty()) {
    text.add("Allow: ");
    text.add(reply.allow);
    text.add("\r\n");
  }
  if (!reply.traceparent.empty()) {
    text.add("traceparent: ");
    text.add(reply.traceparent);
    text.add("\r\n");
  }
  if (status == 401) text.add("WWW-Authenticate: Bearer\r\n");
  if (status == 415) text.add("Accept-Encoding: gzip, deflate\r\n");
  if (status == 503 || status == 429) text.add("Retry-After: 1\r\n");
  if (!head.keep_alive) {
    text.add("Connection: close\r\n");
  } else if (head.http_1_0) {
    text.add("Connection: keep-alive\r\n");
  }
  // What would not fit was configured beyond all reason; a page that does without is told by its
  // browser.
  if (head.more.size() <= protocol::Reply::kHeadRoom / 2) text.add(head.more);
  if (status == 204) {
    text.add("\r\n");
  } else {
    text.add("Content-Length: ");
    text.add(reply.body.size());
    text.add("\r\n\r\n");
  }

  reply.body.reserve(1);  // so that there is memory, also where there is no body
  const std::string_view written = text.view();
  char* begin = reply.body.data() - written.size();
  std::memcpy(begin, written.data(), written.size());
  return {begin, written.size() + (head.without_body ? 0 : reply.body.size())};
}

}  // namespace kerf::server
