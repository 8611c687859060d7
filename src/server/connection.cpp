#include "server/connection.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/http/error.hpp>
#include <cstring>
#include <utility>

#include "server/log.h"
#include "server/reply_head.h"

namespace kerf::server {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr asio::use_awaitable_t<Executor> kAwait;
constexpr std::size_t kReadBytes = std::size_t{16} << 10;
// Larger replies are sent at once: they may not fit the socket's buffer.
constexpr std::size_t kSmallReply = std::size_t{16} << 10;
// A body may take this much longer than the request timeout, per byte: who sends faster is served.
constexpr std::chrono::nanoseconds kPerByte{60'000};  // 16 KiB a second

}  // namespace

Connection::Connection(IoThread& thread, Shared& shared, Socket socket)
    : thread_(thread),
      shared_(shared),
      socket_(std::move(socket)),
      gate_(shared.access, shared.cors),
      exchange_(shared.service, *this) {
  if (const std::shared_ptr<const TlsContext> tls = *shared.tls.get()) tls_.emplace(*tls);
  place_ = thread_.connections_.insert(thread_.connections_.end(), this);
}

Connection::~Connection() {
  thread_.connections_.erase(place_);
  shared_.connections.fetch_sub(1, std::memory_order_relaxed);
}

void Connection::wait_for(Waiting what, Clock::duration limit) {
  waiting_ = what;
  deadline_ = Clock::now() + limit;
}

void Connection::expire(Clock::time_point now) {
  if (waiting_ == Waiting::kIdle) {
    exchange_.rest();
    gate_.rest();
  }
  if (waiting_ == Waiting::kWorker && client_has_gone()) exchange_.cancel();
  const bool drained = waiting_ == Waiting::kIdle && shared_.draining;
  if (waiting_ == Waiting::kWorker || waiting_ == Waiting::kTurn) return;
  if (now < deadline_ && !drained) return;
  expired_ = true;
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

bool Connection::client_has_gone() {
  char byte = 0;
  // 0: it has closed its side, and waits for nothing; a negative count without more to read yet.
  return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void Connection::close() {
  boost::system::error_code ignored;
  socket_.close(ignored);
}

std::size_t Connection::room_for(std::size_t bytes) {
  input_.reserve(bytes + protocol::kBodyPadding);
  return input_.capacity() - input_.size() - protocol::kBodyPadding;
}

Connection::Awaitable<std::size_t> Connection::read_encrypted(std::span<char> to) {
  std::array<char, kReadBytes> received;
  tls_->sent();  // the reply before
  for (;;) {
    std::size_t count = 0;
    const TlsStream::State state = tls_->read(to, count);
    // The handshake's messages, or the alert that ends it.
    boost::system::error_code error;
    for (std::span<const char> out = tls_->output(); !out.empty() && !error;) {
      const std::size_t sent = co_await socket_.async_write_some(
          asio::buffer(out.data(), out.size()), asio::redirect_error(kAwait, error));
      out = out.subspan(sent);
    }
    tls_->sent();
    if (state == TlsStream::State::kBytes) co_return count;
    if (state == TlsStream::State::kEnded || error) co_return 0;
    count = co_await socket_.async_read_some(asio::buffer(received),
                                             asio::redirect_error(kAwait, error));
    if (count == 0) co_return 0;
    tls_->received(std::span(received).first(count));
  }
}

std::span<const char> Connection::sealed(std::span<const char> bytes) {
  return tls_ ? tls_->encrypt(bytes) : bytes;
}

Connection::Awaitable<bool> Connection::read_more(std::size_t wanted) {
  const std::size_t room = room_for(wanted);
  boost::system::error_code error;
  char* const end = input_.data() + input_.size();
  const std::size_t count = tls_
                                ? co_await read_encrypted({end, room})
                                : co_await socket_.async_read_some(
                                      asio::buffer(end, room), asio::redirect_error(kAwait, error));
  input_.commit(count);
  received_ += count;
  deadline_ = request_start_ + shared_.request_timeout + received_ * kPerByte;
  co_return count != 0;
}

void Connection::begin_request() {
  expired_ = false;
  received_ = 0;
  wait_for(Waiting::kRequest, shared_.request_timeout);
  request_start_ = deadline_ - shared_.request_timeout;
}

bool Connection::refuse_request(int status, std::string message) {
  failure_ = status;
  failure_message_ = std::move(message);
  return false;
}

bool Connection::repeats_head() noexcept {
  const std::optional<LastHead::Match> match = last_head_.match(unread());
  if (!match || match->body_size > shared_.service.limits.request_bytes) return false;
  head_size_ = match->head_size;
  body_size_ = match->body_size;
  return true;
}

bool Connection::parse_head() {
  const std::size_t limit = shared_.service.limits.request_bytes;
  last_head_.forget();
  parser_.emplace(chunks_, limit);
  boost::system::error_code error;
  parser_->parse_head(unread().substr(0, head_size_), error);
  if (error == http::error::body_limit) {
    return refuse_request(
        413, fmt::format("the body is larger than this server's limit of {} bytes", limit));
  }
  if (error == http::error::bad_version) {
    return refuse_request(505, "this server speaks HTTP/1.1");
  }
  if (error) return refuse_request(400, "this is not a valid HTTP request: " + error.message());
  body_size_ = parser_->chunked() ? 0 : parser_->content_length().value_or(0);
  const Head& head = parser_->head();
  if (!parser_->chunked() && !head.expects_continue) {
    last_head_.keep(unread().substr(0, head_size_), head.content_length);
  }
  return true;
}

Connection::Awaitable<bool> Connection::read_body() {
  const std::size_t needed = begin_ + head_size_ + body_size_;
  while (input_.size() < needed) {
    // Memory grows with what arrives, not with what was announced.
    const std::size_t step = std::clamp(input_.size(), kReadBytes, std::size_t{1} << 22U);
    if (!co_await read_more(std::min(needed - input_.size(), step))) {
      co_return expired_ ? refuse_request(408, "the body did not arrive in time")
                         : refuse_request(400, "the body is shorter than its Content-Length");
    }
  }
  co_return true;
}

Connection::Awaitable<bool> Connection::read_chunks() {
  const std::size_t start = begin_ + head_size_;
  chunks_.clear();
  for (;;) {
    boost::system::error_code error;
    std::size_t at = start;
    while (!parser_->is_done() && at < input_.size() && !error) {
      at += parser_->put(asio::buffer(input_.data() + at, input_.size() - at), error);
    }
    std::memmove(input_.data() + start, input_.data() + at, input_.size() - at);
    input_.resize(start + input_.size() - at);
    if (parser_->is_done()) break;
    if (error == http::error::body_limit) {
      co_return refuse_request(413, fmt::format("the body is larger than this server's limit of {} "
                                                "bytes",
                                                shared_.service.limits.request_bytes));
    }
    if (error && error != http::error::need_more) {
      co_return refuse_request(400, "the chunked body is not valid: " + error.message());
    }
    if (input_.size() - start > kMostHeadBytes) {
      co_return refuse_request(400, "the chunked body is not valid: a chunk's head is too long");
    }
    if (!co_await read_more(kReadBytes)) {
      co_return expired_ ? refuse_request(408, "the body did not arrive in time")
                         : refuse_request(400, "the chunked body ends early");
    }
  }
  chunks_.reserve(protocol::kBodyPadding);
  co_return true;
}

protocol::Request Connection::request() const {
  const Head& head = parser_->head();
  const char* bytes = input_.data() + begin_;
  protocol::Request request{.method = head.method.in(bytes),
                            .target = head.target.in(bytes),
                            .content_encoding = head.content_encoding.in(bytes),
                            .accept_encoding = head.accept_encoding.in(bytes),
                            .authorization = head.authorization.in(bytes),
                            .api_key = head.api_key.in(bytes),
                            .origin = head.origin.in(bytes)};
  if (head.json_length) request.json_length = head.json_length->in(bytes);
  if (parser_->chunked()) {
    request.body = {chunks_.data(), chunks_.size()};
  } else {
    request.body = {bytes + head_size_, body_size_};
  }
  return request;
}

void Connection::trace(protocol::Reply& reply) noexcept {
  const Piece header = parser_->head().traceparent;
  reply.traceparent = {};
  if (header.size == 0) return;
  span_ = protocol::continue_trace(header.in(input_.data() + begin_));
  if (span_) reply.traceparent = {span_->data(), span_->size()};
}

void Connection::log_request(const protocol::Reply& reply) const {
  const protocol::Request asked = request();
  log_access({.method = asked.method,
              .target = asked.target,
              .status = reply.status,
              .request_bytes = asked.body.size(),
              .reply_bytes = reply.body.size(),
              .took = Clock::now() - request_start_,
              .trace = reply.traceparent});
}

void Connection::ready() noexcept {
  asio::post(thread_.context(), [this] { go_on(); });
}

void Connection::go_on() {
  Resume resume = *std::move(resume_);
  resume_.reset();
  std::move(resume)();
}

Connection::Awaitable<void> Connection::wait_for_worker() {
  waiting_ = Waiting::kWorker;
  // The worker's answer comes by way of this thread, so not before this coroutine waits.
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [this](Resume handler) { resume_.emplace(std::move(handler)); }, kAwait);
}

void Connection::write_some() {
  // An error shows again when the rest is written.
  boost::system::error_code error;
  const std::size_t sent = socket_.write_some(asio::buffer(unsent_.data(), unsent_.size()), error);
  unsent_ = unsent_.subspan(sent);
}

Connection::Awaitable<void> Connection::send_later() {
  waiting_ = Waiting::kTurn;
  co_await asio::async_initiate<const asio::use_awaitable_t<Executor>, void()>(
      [this](Resume handler) {
        resume_.emplace(std::move(handler));
        thread_.send_later(*this, request_start_);
      },
      kAwait);
}

Connection::Awaitable<bool> Connection::write_rest() {
  while (!unsent_.empty()) {
    wait_for(Waiting::kReply, shared_.request_timeout);
    boost::system::error_code error;
    const std::size_t count = co_await socket_.async_write_some(
        asio::buffer(unsent_.data(), unsent_.size()), asio::redirect_error(kAwait, error));
    if (error) co_return false;
    unsent_ = unsent_.subspan(count);
  }
  co_return true;
}

Connection::Awaitable<void> Connection::linger() {
  // Closing a socket that holds unread bytes would reset it, and what was sent could be lost.
  wait_for(Waiting::kLinger, std::chrono::seconds(2));
  boost::system::error_code error;
  if (tls_) {
    unsent_ = tls_->end();
    write_some();
  }
  socket_.shutdown(Socket::shutdown_send, error);
  while (!error && !expired_) {
    input_.clear();
    co_await socket_.async_read_some(asio::buffer(input_.reserve(kReadBytes), kReadBytes),
                                     asio::redirect_error(kAwait, error));
  }
}

Connection::Awaitable<void> Connection::fail(int status, std::string_view message) {
  ++thread_.requests;
  ++thread_.errors;
  protocol::Reply& reply = exchange_.reply();
  protocol::write_error(reply, status, message);
  expired_ = false;
  unsent_ = sealed(write_head(reply, {.keep_alive = false}));
  if (co_await write_rest()) co_await linger();
}

Connection::Awaitable<void> Connection::refuse() {
  co_await fail(503, "the server has as many connections as it takes; try again later");
}

Connection::Awaitable<void> Connection::serve() {
  boost::system::error_code error;
  socket_.set_option(asio::ip::tcp::no_delay(true), error);
  socket_.non_blocking(true, error);
  // How many requests that were already there are answered before others get their turn.
  constexpr int kBurst = 16;
  int burst = 0;
  for (;;) {
    HeadEnd head_end;
    waiting_ = Waiting::kIdle;
    bool complete = false;
    if (begin_ == input_.size()) {
      input_.clear();
      begin_ = 0;
    }
    for (;;) {
      // Some clients end a body with a line break that its length does not count.
      while (head_end.size() == 0 && waiting_ == Waiting::kIdle && unread().starts_with("\r\n")) {
        begin_ += 2;
      }
      if (!unread().empty()) {
        if (waiting_ == Waiting::kIdle) begin_request();
        complete = repeats_head();
        if (complete) break;
        const HeadEnd::Found found = head_end.look(unread());
        if (found == HeadEnd::Found::kYes && head_end.size() <= kMostHeadBytes) {
          head_size_ = head_end.size();
          complete = parse_head();
          break;
        }
        if (found == HeadEnd::Found::kNoHead) {
          co_return co_await fail(400, "this is not a valid HTTP/1.1 request");
        }
        if (unread().size() >= kMostHeadBytes) {
          co_return co_await fail(
              431, fmt::format("the request's head is larger than {} bytes", kMostHeadBytes));
        }
      } else {
        wait_for(Waiting::kIdle, shared_.idle_timeout);
      }
      const std::size_t room = room_for(kReadBytes);
      char* const end = input_.data() + input_.size();
      const std::size_t count =
          tls_ ? co_await read_encrypted({end, room})
               : co_await socket_.async_read_some(asio::buffer(end, room),
                                                  asio::redirect_error(kAwait, error));
      if (count == 0) {
        if (waiting_ == Waiting::kIdle) co_return;
        if (expired_) co_return co_await fail(408, "the request did not arrive in time");
        co_return co_await fail(400, "the request ends within its head");
      }
      input_.commit(count);
      burst = 0;
    }
    if (complete) {
      if (parser_->head().expects_continue &&
          (parser_->chunked() || input_.size() - begin_ - head_size_ < body_size_)) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        unsent_ = sealed(kContinue);
        if (!co_await write_rest()) co_return;
        waiting_ = Waiting::kRequest;
      }
      if (parser_->chunked()) {
        complete = co_await read_chunks();
      } else if (input_.size() - begin_ - head_size_ < body_size_) {
        complete = co_await read_body();
      }
    }
    if (!complete) co_return co_await fail(failure_, failure_message_);

    const protocol::Request asked = request();
    if (gate_.admit(asked, exchange_.reply()) && !exchange_.begin(asked)) {
      co_await wait_for_worker();
      exchange_.finish();
    }

    protocol::Reply& reply = exchange_.reply();
    ++thread_.requests;
    if (reply.status >= 400) ++thread_.errors;
    trace(reply);
    const bool keep_alive =
        parser_->keep_alive() && !shared_.draining.load(std::memory_order_relaxed);
    unsent_ = sealed(write_head(reply, {.keep_alive = keep_alive,
                                        .http_1_0 = parser_->head().http_1_0,
                                        .more = gate_.cors_headers(asked),
                                        .without_body = parser_->head().is_head}));
    if (logs_access()) log_request(reply);
    begin_ += head_size_ + body_size_;
    if (keep_alive && begin_ == input_.size() && unsent_.size() <= kSmallReply &&
        thread_.connections_.size() != 1) {
      co_await send_later();
    } else {
      write_some();
    }
    if (!unsent_.empty() && !co_await write_rest()) co_return;
    if (!keep_alive) {
      if (begin_ < input_.size()) co_await linger();
      co_return;
    }
    if (begin_ < input_.size() && ++burst == kBurst) {
      burst = 0;
      co_await asio::post(thread_.context(), kAwait);
    }
  }
}

}  // namespace kerf::server
