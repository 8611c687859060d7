#pragma once

#include <atomic>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/wait_traits.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "protocol/exchange.h"
#include "server/server.h"
#include "serving/access.h"
#include "serving/published.h"

namespace kerf::server {

class Connection;
class TlsContext;
using Clock = std::chrono::steady_clock;
// On the concrete executor: the polymorphic one costs an indirect call and a count per operation.
using Executor = boost::asio::io_context::executor_type;
// TCP or Unix.
using Socket = boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, Executor>;
using Timer = boost::asio::basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>;

// What all connections of a server share.
struct Shared {
  protocol::Service& service;
  Clock::duration idle_timeout;
  Clock::duration request_timeout;
  const CorsOptions& cors;
  serving::Published<serving::Access> access{};
  // The certificates; null where nothing is encrypted.
  serving::Published<std::shared_ptr<const TlsContext>> tls{};
  std::atomic<bool> draining = false;
  std::atomic<std::size_t> connections = 0;
};

// A thread with an event loop of its own and the connections dealt to it, which never leave it.
class IoThread {
 public:
  explicit IoThread(Shared& shared);

  boost::asio::io_context& context() noexcept { return context_; }

  // Runs the event loop until it is stopped.
  void run();
  // Takes a connected socket of this thread's context, to serve it, or only to tell it that there
  // is no room. It counts among Shared::connections already. Any thread.
  void accept(Socket socket, bool room);
  // Closes idle connections now, others after their reply. Any thread.
  void drain();
  // Ends all connections. Called when neither this thread nor a worker runs any more.
  void finish();

  // Of this thread's connections; read when the thread has ended.
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;

 private:
  friend class Connection;
  void sweep();
  // Replies that are there are sent together, at the latest when no connection has anything more to
  // read: a client with several connections is woken once, not once a reply, which costs more than
  // all the rest that a small request needs. Their connections go on when all are sent: then the
  // next requests are often there, and need no waiting for.
  void send_later(Connection& connection, Clock::time_point request_start);
  void send_replies();

  boost::asio::io_context context_{1};
  Shared& shared_;
  Timer sweeper_;
  std::vector<Connection*> unsent_;     // connections whose replies wait to be sent
  std::vector<Connection*> sent_;       // and that go on now
  Clock::time_point unsent_since_;      // when the request of the first of these came
  std::list<Connection*> connections_;  // used by this thread only
};

}  // namespace kerf::server
