// Load for an HTTP server: POSTs one body over keep-alive connections, on each the next request
// when the reply is there, and prints one line of figures as JSON.
//
//   http_load PORT PATH BODY_FILE CONNECTIONS SECONDS [SERVER_PID [RATE]]
//
// With SERVER_PID, also the server's CPU time per request. With RATE, so many requests a second are
// sent whether there are replies or not, each on a connection that waits for none; the figures are
// of those answered with 200, and refused ones (503) are counted apart.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Connection {
  int socket = -1;
  std::string input;
  Clock::time_point sent;
};

[[noreturn]] void die(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

int connect_to(int port) {
  const int made = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
  const int on = 1;
  setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return made;
}

// Bytes of the reply at the front of `input`, 0 if it is not whole.
std::size_t reply_size(std::string_view input) {
  const std::size_t head = input.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  constexpr std::string_view kName = "Content-Length: ";
  const std::size_t at = input.find(kName);
  std::size_t length = 0;
  if (at < head) {
    std::from_chars(input.data() + at + kName.size(), input.data() + head, length);
  }
  const std::size_t size = head + 4 + length;
  return input.size() < size ? 0 : size;
}

// CPU seconds a process has used with all of its threads (fields 14 and 15 of /proc/PID/stat).
double cpu_seconds(int pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  double user = 0;
  double system = 0;
  fields >> skipped >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: http_load PORT PATH BODY_FILE CONNECTIONS SECONDS [SERVER_PID]\n");
    return 2;
  }
  const int port = std::atoi(argv[1]);
  std::ifstream file(argv[3], std::ios::binary);
  const std::string body((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const int count = std::atoi(argv[4]);
  const std::chrono::duration<double> length(std::atof(argv[5]));
  const int pid = argc > 6 ? std::atoi(argv[6]) : 0;
  const double rate = argc > 7 ? std::atof(argv[7]) : 0;
  const std::string request = "POST " + std::string(argv[2]) +
                              " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: http_load\r\n"
                              "Accept: */*\r\nContent-Type: application/json\r\n"
                              "Content-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;

  const int epoll = epoll_create1(0);
  std::vector<Connection> connections(static_cast<std::size_t>(count));
  for (Connection& connection : connections) {
    connection.socket = connect_to(port);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    epoll_ctl(epoll, EPOLL_CTL_ADD, connection.socket, &event);
  }
  const auto send_request = [&](Connection& connection) {
    connection.sent = Clock::now();
    if (send(connection.socket, request.data(), request.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request.size())) {
      die("send");
    }
  };
  std::vector<Connection*> idle;
  for (Connection& connection : connections) {
    if (rate == 0) {
      send_request(connection);
    } else {
      idle.push_back(&connection);
    }
  }

  const auto warm = Clock::now() + length / 5;
  auto start = Clock::now();
  auto end = start + length;
  bool measuring = false;
  double cpu = 0;
  std::vector<float> latencies;
  latencies.reserve(1 << 20);
  std::vector<float> refusals;
  std::size_t errors = 0;
  std::size_t unsent = 0;  // for want of a connection
  double due = 0;          // requests by now, by the rate
  auto last = start;
  epoll_event events[256];
  char buffer[65536];
  for (auto now = start; now < end;) {
    for (due += rate * std::chrono::duration<double>(now - last).count(); due >= 1; due -= 1) {
      if (idle.empty()) {
        ++unsent;
        continue;
      }
      send_request(*idle.back());
      idle.pop_back();
    }
    last = now;
    const int ready = epoll_wait(epoll, events, 256, rate == 0 ? 1000 : 1);
    for (int i = 0; i < ready; ++i) {
      Connection& connection = *static_cast<Connection*>(events[i].data.ptr);
      const ssize_t got = recv(connection.socket, buffer, sizeof buffer, 0);
      if (got <= 0) die("the server closed a connection");
      connection.input.append(buffer, static_cast<std::size_t>(got));
      const std::size_t size = reply_size(connection.input);
      if (size == 0) continue;
      const bool refused = rate != 0 && connection.input.starts_with("HTTP/1.1 503");
      if (!refused && !connection.input.starts_with("HTTP/1.1 200")) ++errors;
      connection.input.erase(0, size);
      now = Clock::now();
      if (measuring) {
        (refused ? refusals : latencies)
            .push_back(std::chrono::duration<float, std::micro>(now - connection.sent).count());
      }
      if (rate == 0) {
        send_request(connection);
      } else {
        idle.push_back(&connection);
      }
    }
    now = Clock::now();
    if (!measuring && now >= warm) {
      measuring = true;
      start = now;
      end = start + std::chrono::duration_cast<Clock::duration>(length);
      cpu = pid != 0 ? cpu_seconds(pid) : 0;
    }
  }
  const std::chrono::duration<double> took = Clock::now() - start;
  cpu = pid != 0 ? cpu_seconds(pid) - cpu : 0;
  std::sort(latencies.begin(), latencies.end());
  std::sort(refusals.begin(), refusals.end());
  const auto requests = static_cast<double>(latencies.size());
  const auto percentile_of = [](const std::vector<float>& sorted, double share) {
    const auto most = static_cast<double>(sorted.size()) - 1;
    return sorted.empty() ? 0.F : sorted[static_cast<std::size_t>(share * most)];
  };
  const auto percentile = [&](double share) { return percentile_of(latencies, share); };
  std::printf(
      "{\"requests_per_second\": %.0f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"errors\": %zu, "
      "\"cpu_us_per_request\": %.2f, \"refused_per_second\": %.0f, \"refused_p99_us\": %.1f, "
      "\"unsent\": %zu}\n",
      requests / took.count(), percentile(0.5), percentile(0.99), errors,
      requests > 0 ? cpu / requests * 1e6 : 0, static_cast<double>(refusals.size()) / took.count(),
      percentile_of(refusals, 0.99), unsent);
  return errors == 0 ? 0 : 1;
}
