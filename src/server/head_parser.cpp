#include "server/head_parser.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <cstring>
#include <functional>

namespace kerf::server {
namespace {

namespace http = boost::beast::http;

std::string_view view(boost::beast::string_view text) noexcept {
  return {text.data(), text.size()};
}

}  // namespace

void LastHead::keep(std::string_view bytes, Piece length) {
  bytes_.assign(bytes);
  length_ = length;
}

std::optional<LastHead::Match> LastHead::match(std::string_view bytes) const noexcept {
  if (bytes_.empty() || bytes.size() < bytes_.size()) return std::nullopt;
  const std::size_t behind = length_.offset + length_.size;
  if (std::memcmp(bytes.data(), bytes_.data(), length_.offset) != 0 ||
      std::memcmp(bytes.data() + behind, bytes_.data() + behind, bytes_.size() - behind) != 0) {
    return std::nullopt;
  }
  Match match{.head_size = bytes_.size(), .body_size = 0};
  for (const char digit : bytes.substr(length_.offset, length_.size)) {
    if (digit < '0' || digit > '9') return std::nullopt;
    match.body_size = match.body_size * 10 + static_cast<std::size_t>(digit - '0');
  }
  return match;
}

HeadEnd::Found HeadEnd::look(std::string_view bytes) noexcept {
  const auto is_token = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_';
  };
  if (!bytes.empty() && !is_token(bytes.front())) return Found::kNoHead;
  while (looked_ < bytes.size()) {
    const std::size_t feed = bytes.find('\n', looked_);
    if (feed == std::string_view::npos) {
      looked_ = bytes.size();
      break;
    }
    if (feed == line_ || bytes[feed - 1] != '\r') return Found::kNoHead;
    looked_ = feed + 1;
    if (feed == line_ + 1) {
      size_ = looked_;
      return Found::kYes;
    }
    line_ = looked_;
  }
  return Found::kNotYet;
}

HeadParser::HeadParser(protocol::Buffer& body, std::size_t limit) : body_(body) {
  header_limit(kMostHeadBytes);
  body_limit(limit);
}

void HeadParser::parse_head(std::string_view bytes, boost::beast::error_code& error) {
  bytes_ = bytes;
  put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  bytes_ = {};
}

Piece HeadParser::piece(string_view text, error_code& error) const noexcept {
  // A value folded over lines is put together in the parser's own memory; RFC 9112 has servers
  // refuse folding.
  const std::less<const char*> before;
  if (before(text.data(), bytes_.data()) ||
      before(bytes_.data() + bytes_.size(), text.data() + text.size())) {
    error = http::error::bad_obs_fold;
    return {};
  }
  return {.offset = static_cast<std::uint32_t>(text.data() - bytes_.data()),
          .size = static_cast<std::uint32_t>(text.size())};
}

void HeadParser::on_request_impl(http::verb method, string_view text, string_view target,
                                 int version, error_code& error) {
  error = {};
  head_.method = piece(text, error);
  head_.target = piece(target, error);
  head_.http_1_0 = version < 11;
  head_.is_head = method == http::verb::head;
}

void HeadParser::on_field_impl(field name, string_view text, string_view value, error_code& error) {
  error = {};
  if (bytes_.empty()) return;
  switch (name) {
    case field::content_length:
      // RFC 9112 lets a server take one length that is said several times, or refuse it.
      if (head_.content_length.size != 0 || value.contains(',')) {
        error = http::error::multiple_content_length;
      } else {
        head_.content_length = piece(value, error);
      }
      break;
    case field::content_encoding:
      head_.content_encoding = piece(value, error);
      break;
    case field::accept_encoding:
      head_.accept_encoding = piece(value, error);
      break;
    case field::authorization:
      head_.authorization = piece(value, error);
      break;
    case field::origin:
      head_.origin = piece(value, error);
      break;
    case field::expect:
      head_.expects_continue = boost::beast::iequals(value, "100-continue");
      break;
    case field::transfer_encoding:
      // Beast takes what it does not know as it stands; then nobody knows where the body ends.
      if (!boost::beast::iequals(value, "chunked")) error = http::error::bad_transfer_encoding;
      break;
    case field::unknown:
      if (boost::beast::iequals(text, "inference-header-content-length")) {
        head_.json_length = piece(value, error);
      } else if (boost::beast::iequals(text, "x-api-key")) {
        head_.api_key = piece(value, error);
      } else if (boost::beast::iequals(text, "traceparent")) {
        head_.traceparent = piece(value, error);
      }
      break;
    default:
      break;
  }
}

void HeadParser::on_header_impl(error_code& error) { error = {}; }

void HeadParser::on_body_init_impl(boost::optional<std::uint64_t> const&, error_code& error) {
  error = {};
}

std::size_t HeadParser::on_body_impl(string_view bytes, error_code& error) {
  error = {};
  return bytes.size();
}

void HeadParser::on_chunk_header_impl(std::uint64_t, string_view, error_code& error) { error = {}; }

std::size_t HeadParser::on_chunk_body_impl(std::uint64_t, string_view bytes, error_code& error) {
  error = {};
  body_.append(view(bytes));
  return bytes.size();
}

void HeadParser::on_finish_impl(error_code& error) { error = {}; }

}  // namespace kerf::server
