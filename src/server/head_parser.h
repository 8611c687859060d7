#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/buffer.h"

namespace kerf::server {

inline constexpr std::uint32_t kMostHeadBytes = 16 << 10;

// A part of a head, by its place: the memory in which the head lies may move.
struct Piece {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  std::string_view in(const char* head) const noexcept { return {head + offset, size}; }
};

// What the head of a request says, as far as the server cares.
struct Head {
  Piece method;
  Piece target;
  Piece content_encoding;
  Piece accept_encoding;
  Piece authorization;
  Piece api_key;
  Piece origin;
  Piece traceparent;
  std::optional<Piece> json_length;
  Piece content_length;  // empty if there is none
  bool expects_continue = false;
  bool http_1_0 = false;
  bool is_head = false;  // the method HEAD
};

// The head that a connection sent last. Clients repeat theirs but for the body's length, and to
// compare is several times cheaper than to parse.
class LastHead {
 public:
  // Keeps a head, in which `length` is the only Content-Length.
  void keep(std::string_view bytes, Piece length);
  void forget() noexcept { bytes_.clear(); }

  struct Match {
    std::size_t head_size;
    std::size_t body_size;
  };
  // Whether `bytes` start with that head, where its length may be another of as many digits: every
  // other part stands where it stood.
  std::optional<Match> match(std::string_view bytes) const noexcept;

 private:
  std::string bytes_;
  Piece length_;
};

// Where a request's head ends in bytes that arrive bit by bit. Finds at once what cannot become a
// head, instead of waiting for more of it.
class HeadEnd {
 public:
  enum class Found { kNotYet, kYes, kNoHead };
  // Looks on where the last call ended. `bytes` starts with what was passed before.
  Found look(std::string_view bytes) noexcept;
  std::size_t size() const noexcept { return size_; }  // of the head, once found

 private:
  std::size_t looked_ = 0;
  std::size_t line_ = 0;  // where the line begins that is being looked at
  std::size_t size_ = 0;
};

// Parses one HTTP/1.1 request by way of Beast: its head, which must be there whole, and a chunked
// body, which it puts together. A body with a length is left to the caller.
class HeadParser final : public boost::beast::http::basic_parser<true> {
 public:
  // Bytes of chunked bodies go to `body`; bodies of more than `body_limit` bytes fail with
  // error::body_limit.
  HeadParser(protocol::Buffer& body, std::size_t body_limit);

  // Parses a whole head.
  void parse_head(std::string_view bytes, boost::beast::error_code& error);
  const Head& head() const noexcept { return head_; }

 private:
  using error_code = boost::beast::error_code;
  using string_view = boost::beast::string_view;
  using field = boost::beast::http::field;

  void on_request_impl(boost::beast::http::verb method, string_view text, string_view target,
                       int version, error_code& error) override;
  void on_response_impl(int, string_view, int, error_code&) override {}
  void on_field_impl(field name, string_view text, string_view value, error_code& error) override;
  void on_header_impl(error_code& error) override;
  void on_body_init_impl(boost::optional<std::uint64_t> const& size, error_code& error) override;
  std::size_t on_body_impl(string_view bytes, error_code& error) override;
  void on_chunk_header_impl(std::uint64_t size, string_view extensions, error_code& error) override;
  std::size_t on_chunk_body_impl(std::uint64_t rest, string_view bytes, error_code& error) override;
  void on_finish_impl(error_code& error) override;

  // Where `text` stands in the head. Fails for text that does not stand there.
  Piece piece(string_view text, error_code& error) const noexcept;

  protocol::Buffer& body_;
  Head head_;
  std::string_view bytes_;  // of the head, while it is parsed; trailers of chunks are ignored
};

}  // namespace kerf::server
