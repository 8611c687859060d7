#pragma once

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <string>

#include "server/io_thread.h"

namespace kerf::server {

using Acceptor =
    boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, Executor>;

// A socket that connections come in at: TCP, Unix, or one that systemd has passed. Used by the
// thread of its context.
class Listener {
 public:
  // Takes the address: an IP address, "unix:PATH" or "systemd". Throws Error(kUnavailable) where it
  // is taken, Error(kInvalidArgument) for one that is none. A Unix socket that nobody listens at
  // any more is taken over.
  Listener(boost::asio::io_context& context, const std::string& address, std::uint16_t port);
  ~Listener() { close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Throws Error(kUnavailable).
  void listen();
  // Takes no more connections, and removes the file of a Unix socket.
  void close() noexcept;
  bool is_open() const noexcept { return acceptor_.is_open(); }
  Acceptor& acceptor() noexcept { return acceptor_; }

  std::uint16_t port() const noexcept { return port_; }  // 0 for a Unix socket
  // "http://127.0.0.1:8000", or "unix:PATH".
  std::string url(bool encrypted) const;

 private:
  void bind_tcp(const std::string& address, std::uint16_t port);
  void bind_unix(const std::string& path);
  void adopt(int socket);
  // Throws what `error` says, if it says anything.
  void check(const boost::system::error_code& error, const char* what) const;

  Acceptor acceptor_;
  std::string address_;
  std::uint16_t port_ = 0;
  std::filesystem::path file_;  // of a Unix socket of our own
};

}  // namespace kerf::server
