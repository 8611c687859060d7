#include "server/listener.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstring>

#include "kerf/error.h"
#include "server/systemd.h"

namespace kerf::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Generic = asio::generic::stream_protocol;
using Local = asio::local::stream_protocol;

constexpr std::string_view kUnix = "unix:";

}  // namespace

Listener::Listener(asio::io_context& context, const std::string& address, std::uint16_t port)
    : acceptor_(context), address_(address) {
  if (address == "systemd") {
    const std::optional<int> socket = systemd_socket();
    if (!socket) {
      throw Error(ErrorCode::kUnavailable,
                  "systemd has passed no socket: is this started by a .socket unit?", address);
    }
    adopt(*socket);
  } else if (address.starts_with(kUnix)) {
    bind_unix(address.substr(kUnix.size()));
  } else {
    bind_tcp(address, port);
  }
}

void Listener::bind_tcp(const std::string& address, std::uint16_t port) {
  boost::system::error_code error;
  const asio::ip::address ip = asio::ip::make_address(address, error);
  if (error) throw Error(ErrorCode::kInvalidArgument, "this is not an IP address", address);
  port_ = port;
  const tcp::endpoint endpoint(ip, port);
  acceptor_.open(Generic(endpoint.protocol()), error);
  if (!error) acceptor_.set_option(Acceptor::reuse_address(true), error);
  if (!error) acceptor_.bind(Generic::endpoint(endpoint), error);
  check(error, "cannot take this address");
  tcp::endpoint bound;
  const Generic::endpoint local = acceptor_.local_endpoint();
  std::memcpy(bound.data(), local.data(), local.size());
  port_ = bound.port();
}

void Listener::bind_unix(const std::string& path) {
  constexpr std::size_t kMostPath = sizeof(sockaddr_un::sun_path) - 1;
  if (path.empty() || path.size() > kMostPath) {
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("the path of a Unix socket has 1 to {} characters", kMostPath),
                address_);
  }
  boost::system::error_code error;
  if (std::error_code ignored; std::filesystem::is_socket(path, ignored)) {
    // Only what is left of a server that has died may go.
    asio::io_context context;
    Local::socket probe(context);
    probe.connect(Local::endpoint(path), error);
    if (error == asio::error::connection_refused) std::filesystem::remove(path, ignored);
  }
  error = {};
  acceptor_.open(Generic(Local()), error);
  if (!error) acceptor_.bind(Generic::endpoint(Local::endpoint(path)), error);
  check(error, "cannot take this address");
  file_ = path;
}

void Listener::adopt(int socket) {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  boost::system::error_code error;
  if (::getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size) != 0) {
    error = {errno, boost::system::system_category()};
  } else {
    acceptor_.assign(Generic(name.ss_family, 0), socket, error);
  }
  check(error, "cannot use the socket that systemd has passed");
  if (name.ss_family == AF_INET || name.ss_family == AF_INET6) {
    tcp::endpoint bound;
    std::memcpy(bound.data(), &name, size);
    port_ = bound.port();
    address_ = bound.address().to_string();
  }
}

void Listener::check(const boost::system::error_code& error, const char* what) const {
  if (!error) return;
  throw Error(ErrorCode::kUnavailable, fmt::format("{}: {}", what, error.message()),
              address_.starts_with(kUnix) ? address_ : fmt::format("{}:{}", address_, port_));
}

void Listener::listen() {
  boost::system::error_code error;
  acceptor_.listen(asio::socket_base::max_listen_connections, error);
  check(error, "cannot listen");
}

void Listener::close() noexcept {
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  std::error_code kept;
  if (!file_.empty()) std::filesystem::remove(file_, kept);
  file_.clear();
}

std::string Listener::url(bool encrypted) const {
  if (port_ == 0) return address_;
  const char* scheme = encrypted ? "https" : "http";
  return address_.find(':') != std::string::npos
             ? fmt::format("{}://[{}]:{}", scheme, address_, port_)
             : fmt::format("{}://{}:{}", scheme, address_, port_);
}

}  // namespace kerf::server
