#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "serving/access.h"
#include "serving/limits.h"
#include "serving/repository.h"

namespace kerf::server {

// Certificates, as PEM files. Without a certificate nothing is encrypted.
struct TlsOptions {
  std::filesystem::path certificate;  // and its chain
  std::filesystem::path key;
  std::filesystem::path client_ca;  // if given, clients must show a certificate signed by these
};

// Origins whose pages may call from a browser; "*" for all.
struct CorsOptions {
  std::vector<std::string> origins;
  std::chrono::seconds max_age{600};
};

struct ServerOptions {
  // An IP address, "0.0.0.0" or "::" for all interfaces; "unix:PATH"; or "systemd".
  std::string address = "127.0.0.1";
  std::uint16_t port = 8000;               // 0: any free one, see Server::port()
  std::optional<std::uint16_t> grpc_port;  // nothing: no gRPC; 0: any free one
  bool allow_shared_memory = false;        // of clients on this machine, for tensors
  unsigned io_threads = 0;                 // 0: one per core
  unsigned worker_threads = 0;             // for runs too long for an I/O thread; 0: one per core
  std::size_t max_connections = 4096;
  serving::Limits limits;
  TlsOptions tls;
  CorsOptions cors;
  std::chrono::milliseconds idle_timeout{75'000};     // between the requests of a connection
  std::chrono::milliseconds request_timeout{30'000};  // for a request to arrive, beside its size
  // At a stop: how long connections are still accepted, while the server says that it is not ready;
  // and then how long running requests may take to end.
  std::chrono::milliseconds drain_delay{0};
  std::chrono::milliseconds drain_timeout{25'000};
  bool handle_signals = true;  // SIGTERM and SIGINT stop the server
  // Called by an I/O thread, once connections are accepted and signals heeded.
  std::function<void()> on_listening;
  std::function<void()> on_hangup;  // called on SIGHUP, by an I/O thread
};

// Serves models over HTTP/1.1, and over gRPC if a port is given for it. Made and run by one thread;
// stop() may be called from any.
//
//   Server server({.port = 8000});                       // takes the port, refuses connections
//   server.serve(Repository::load(find_models(paths)));  // listens; returns when stopped
class Server {
 public:
  // Takes the address and port, so that a port in use is known before models are loaded. Throws
  // Error(kUnavailable) where that fails, Error(kInvalidArgument) for an address that is none.
  explicit Server(ServerOptions options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const noexcept;
  std::string url() const;  // "http://127.0.0.1:8000"
  // Where gRPC is served, while it is; 0 otherwise. Any thread.
  std::uint16_t grpc_port() const noexcept;

  // Listens and serves, whatever the repository has by then, until stop() or a signal: then it
  // accepts no more connections, says that it is not ready, lets running requests end within the
  // drain timeout, and returns. Called once.
  void serve(std::shared_ptr<serving::Repository> repository);

  // From now on. Any thread. set_tls() throws Error(kInvalidArgument) for files that cannot be
  // used, and then changes nothing; connections that are open go on as they began.
  void set_access(serving::Access access);
  void set_tls(const TlsOptions& tls);

  // Ends serve(), also one that has not begun.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kerf::server
