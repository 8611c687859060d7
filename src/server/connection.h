#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/buffer.h"
#include "protocol/exchange.h"
#include "protocol/trace.h"
#include "server/gate.h"
#include "server/head_parser.h"
#include "server/io_thread.h"
#include "server/tls.h"

namespace kerf::server {

// One client's connection: reads requests, has them answered, writes replies, one after the other.
// Lives on one I/O thread, as long as its coroutine; only ready() is called from other threads.
class Connection final : public protocol::Waiter {
 public:
  Connection(IoThread& thread, Shared& shared, Socket socket);
  ~Connection();

  boost::asio::awaitable<void, Executor> serve();
  boost::asio::awaitable<void, Executor> refuse();

  // Ends what has taken longer than it may. Called by the I/O thread now and then.
  void expire(Clock::time_point now);
  // Ends it as if the client had gone.
  void close();
  // Sends of what is unsent as much as goes at once. Called by the I/O thread, if a reply is left
  // to it.
  void write_some();
  // Continues the coroutine. Called by the I/O thread when it has sent the reply.
  void go_on();

 private:
  template <typename T>
  using Awaitable = boost::asio::awaitable<T, Executor>;
  // What continues a coroutine. (Boost 1.81's any_completion_handler, made for this, copies itself
  // without end when it is assigned.)
  using Resume =
      boost::asio::async_result<boost::asio::use_awaitable_t<Executor>, void()>::handler_type;
  // kTurn: for the I/O thread to send the reply, which it does within the round.
  enum class Waiting : std::uint8_t { kIdle, kRequest, kWorker, kTurn, kReply, kLinger };

  // Reads some bytes, decrypted if they have to be; 0 at the end of the stream, on errors and
  // timeouts.
  Awaitable<std::size_t> read_encrypted(std::span<char> to);
  // What is to be sent for these bytes. Good until the next call.
  std::span<const char> sealed(std::span<const char> bytes);
  // Reads more behind what is there; false at the end of the stream, on errors and timeouts.
  Awaitable<bool> read_more(std::size_t wanted);
  // False where the request must be refused, see failure_.
  Awaitable<bool> read_body();
  Awaitable<bool> read_chunks();
  // Sends what is unsent.
  Awaitable<bool> write_rest();
  // Until the exchange has what a worker does for it.
  Awaitable<void> wait_for_worker();
  // Leaves the reply to the I/O thread, to be sent with others.
  Awaitable<void> send_later();
  // Sends an error, and closes so that the client can still read it.
  Awaitable<void> fail(int status, std::string_view message);
  Awaitable<void> linger();

  // Whether what stands at begin_ is the last head again; then takes what it says.
  bool repeats_head() noexcept;
  // Parses the head that stands at begin_. False where the request must be refused.
  bool parse_head();
  void begin_request();
  bool refuse_request(int status, std::string message);
  protocol::Request request() const;
  void wait_for(Waiting what, Clock::duration limit);
  std::string_view unread() const noexcept { return input_.view().substr(begin_); }
  std::size_t room_for(std::size_t bytes);
  void ready() noexcept override;
  // True also of a client that has only ended its sending side while it waits: what it would be
  // sent cannot be told from what nobody reads.
  bool client_has_gone();
  // Gives the reply its place in the client's trace, if there is one.
  void trace(protocol::Reply& reply) noexcept;
  void log_request(const protocol::Reply& reply) const;

  IoThread& thread_;
  Shared& shared_;
  Socket socket_;
  std::optional<TlsStream> tls_;
  Gate gate_;
  protocol::Exchange exchange_;
  protocol::Buffer input_;   // what was read; the current request begins at begin_
  protocol::Buffer chunks_;  // a chunked body, put together
  std::size_t begin_ = 0;
  std::size_t head_size_ = 0;
  std::size_t body_size_ = 0;  // 0 for a chunked one
  LastHead last_head_;
  std::optional<HeadParser> parser_;  // of the current head, or of one that was the same
  std::span<const char> unsent_;      // of the reply
  int failure_ = 0;  // the status with which the request is refused, and what is said
  std::string failure_message_;
  std::optional<protocol::TraceParent> span_;
  std::optional<Resume> resume_;  // set while a worker works or the I/O thread is to send
  Waiting waiting_ = Waiting::kIdle;
  bool expired_ = false;
  Clock::time_point deadline_;
  Clock::time_point request_start_;
  std::size_t received_ = 0;  // bytes since then
  std::list<Connection*>::iterator place_;
};

}  // namespace kerf::server
