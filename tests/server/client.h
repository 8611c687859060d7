#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace kerf::server {

// A reply as it came over the wire.
struct Received {
  int status = 0;  // 0: the connection was closed without a reply
  std::string head;
  std::string body;

  // The value of a header, empty where there is none.
  std::string header(std::string name) const {
    std::string lower = head;
    const auto to_lower = [](unsigned char c) { return static_cast<char>(std::tolower(c)); };
    std::ranges::transform(lower, lower.begin(), to_lower);
    std::ranges::transform(name, name.begin(), to_lower);
    const std::size_t at = lower.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
  }
};

// A connection that sends bytes as they are given and takes replies apart by their Content-Length:
// as little of an HTTP client as can be, so that it can do everything wrong.
class Client {
 public:
  explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket_);
      throw std::runtime_error("cannot connect");
    }
    const int on = 1;
    ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~Client() {
    if (socket_ >= 0) ::close(socket_);
  }
  Client(Client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), input_(std::move(other.input_)) {}
  Client& operator=(Client&&) = delete;

  // False if the server has closed the connection.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  // No more will be sent.
  void finish() { ::shutdown(socket_, SHUT_WR); }

  // The next reply; `without_body` for the reply to HEAD. Throws after ten seconds of nothing.
  Received receive(bool without_body = false) {
    Received reply;
    while (input_.find("\r\n\r\n") == std::string::npos) {
      if (!read()) return reply;
    }
    const std::size_t head = input_.find("\r\n\r\n");
    reply.head = input_.substr(0, head + 2);
    reply.status = std::stoi(input_.substr(9, 3));
    const std::string length = reply.header("Content-Length");
    const std::size_t size = length.empty() || without_body ? 0 : std::stoul(length);
    while (input_.size() < head + 4 + size) {
      if (!read()) break;
    }
    reply.body = input_.substr(head + 4, size);
    input_.erase(0, head + 4 + size);
    return reply;
  }

  // True if the server closes the connection without sending more.
  bool closed() {
    while (read()) {
    }
    return input_.empty();
  }

 private:
  bool read() {
    pollfd wanted{.fd = socket_, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, 10'000) != 1) throw std::runtime_error("no reply within ten seconds");
    char buffer[65536];
    const ssize_t count = ::recv(socket_, buffer, sizeof buffer, 0);
    if (count <= 0) return false;
    input_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }

  int socket_;
  std::string input_;
};

inline std::string post(const std::string& target, const std::string& body,
                        const std::string& headers = {}) {
  return "POST " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline std::string get(const std::string& target, const std::string& headers = {}) {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
}

}  // namespace kerf::server
