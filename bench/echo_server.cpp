// The least an HTTP server can do: an epoll loop per thread that finds the end of each request by
// its Content-Length and sends its body back. What kerf's server is measured against.
//
//   echo_server [PORT] [THREADS]
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

struct Connection {
  int socket;
  std::string input;
  std::string output;
};

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::size_t content_length(std::string_view head) {
  constexpr std::string_view kName = "\r\ncontent-length:";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  const auto at = std::search(head.begin(), head.end(), kName.begin(), kName.end(), same);
  if (at == head.end()) return 0;
  const char* number = &*at + kName.size();
  while (*number == ' ') ++number;
  std::size_t length = 0;
  std::from_chars(number, head.data() + head.size(), length);
  return length;
}

// False when the connection is over.
bool serve(Connection& connection) {
  char buffer[16384];
  const ssize_t count = recv(connection.socket, buffer, sizeof buffer, 0);
  if (count <= 0) return count < 0 && errno == EAGAIN;
  connection.input.append(buffer, static_cast<std::size_t>(count));
  connection.output.clear();
  std::string_view input = connection.input;
  for (;;) {
    const std::size_t head = input.find("\r\n\r\n");
    if (head == std::string_view::npos) break;
    const std::size_t body = content_length(input.substr(0, head + 2));
    if (input.size() < head + 4 + body) break;
    connection.output += "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ";
    connection.output += std::to_string(body);
    connection.output += "\r\n\r\n";
    connection.output += input.substr(head + 4, body);
    input.remove_prefix(head + 4 + body);
  }
  connection.input.erase(0, connection.input.size() - input.size());
  std::string_view rest = connection.output;
  while (!rest.empty()) {
    const ssize_t sent = send(connection.socket, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent > 0) rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void run(int epoll) {
  epoll_event events[256];
  for (;;) {
    const int count = epoll_wait(epoll, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      auto* connection = static_cast<Connection*>(events[i].data.ptr);
      if (!serve(*connection)) {
        close(connection->socket);
        delete connection;
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int port = argc > 1 ? std::atoi(argv[1]) : 8001;
  const unsigned threads =
      argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : std::thread::hardware_concurrency();
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("bind");
  if (listen(listener, SOMAXCONN) != 0) die("listen");

  std::vector<int> loops;
  std::vector<std::thread> running;
  for (unsigned i = 0; i < std::max(1U, threads); ++i) {
    loops.push_back(epoll_create1(0));
    running.emplace_back(run, loops.back());
  }
  std::printf("echo on port %d, %zu threads\n", port, loops.size());
  std::fflush(stdout);
  for (std::size_t next = 0;; ++next) {
    const int accepted = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
    if (accepted < 0) die("accept");
    setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = new Connection{.socket = accepted, .input = {}, .output = {}};
    if (epoll_ctl(loops[next % loops.size()], EPOLL_CTL_ADD, accepted, &event) != 0) die("epoll");
  }
}
