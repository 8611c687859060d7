#include "server/io_thread.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <memory>
#include <utility>

#include "server/connection.h"

namespace kerf::server {

namespace asio = boost::asio;

IoThread::IoThread(Shared& shared) : shared_(shared), sweeper_(context_) { sweep(); }

void IoThread::run() {
  for (;;) {
    try {
      while (context_.run_one() != 0) {
        context_.poll();
        send_replies();
      }
      return;
    } catch (const std::exception& error) {
      // Most likely there was no memory for one connection; the others go on.
      spdlog::error("a connection failed: {}", error.what());
    }
  }
}

void IoThread::send_later(Connection& connection, Clock::time_point request_start) {
  constexpr std::size_t kMostReplies = 32;
  constexpr std::chrono::microseconds kLongest{100};
  if (unsent_.empty()) unsent_since_ = request_start;
  unsent_.push_back(&connection);
  if (unsent_.size() >= kMostReplies || request_start - unsent_since_ > kLongest) send_replies();
}

void IoThread::send_replies() {
  if (unsent_.empty()) return;
  for (Connection* connection : unsent_) connection->write_some();
  if (sent_.empty()) {
    asio::post(context_, [this] {
      for (Connection* connection : std::exchange(sent_, {})) connection->go_on();
    });
  }
  sent_.insert(sent_.end(), unsent_.begin(), unsent_.end());
  unsent_.clear();
}

void IoThread::accept(Socket socket, bool room) {
  asio::post(context_, [this, room, moved = std::move(socket)]() mutable {
    std::shared_ptr<Connection> connection;
    try {
      connection = std::make_shared<Connection>(*this, shared_, std::move(moved));
    } catch (...) {
      --shared_.connections;
      throw;
    }
    asio::co_spawn(context_, room ? connection->serve() : connection->refuse(),
                   [connection](const std::exception_ptr&) {});
  });
}

void IoThread::drain() {
  asio::post(context_, [this] { sweeper_.cancel(); });
}

void IoThread::finish() {
  context_.restart();
  context_.poll();  // what was dropped when the workers ended is answered
  send_replies();
  do {
    for (Connection* connection : connections_) connection->close();
    send_replies();
    context_.poll();
  } while (!connections_.empty());
}

void IoThread::sweep() {
  using namespace std::chrono_literals;
  sweeper_.expires_after(shared_.draining ? 20ms : 500ms);
  sweeper_.async_wait([this](const boost::system::error_code&) {
    const Clock::time_point now = Clock::now();
    for (Connection* connection : connections_) connection->expire(now);
    sweep();
  });
}

}  // namespace kerf::server
