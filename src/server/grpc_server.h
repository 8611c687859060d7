#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "protocol/service.h"
#include "server/server.h"
#include "serving/access.h"
#include "serving/published.h"

namespace kerf::server {

// Listens for gRPC and serves it by gRPC's own threads: the Open Inference Protocol, TensorFlow
// Serving, health checks and reflection. Made, drained and destroyed by one thread; destroying it
// waits for running calls, so whatever they wait for must end before.
class GrpcServer {
 public:
  // Listens and serves at once. `address` is an IP address; port 0 is any free one. Throws
  // Error(kUnavailable) where the port cannot be taken, Error(kNotFound) for certificates that
  // cannot be read. The service and the keys outlive this. Keys are asked for with certificates
  // only: gRPC sends none without.
  GrpcServer(protocol::Service& service, const std::string& address, std::uint16_t port,
             const TlsOptions& tls, const serving::Published<serving::Access>& access);
  ~GrpcServer();
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  std::uint16_t port() const noexcept;
  // Takes no more calls, says so to health checks, and cancels calls that are not over by then.
  // Returns at once.
  void drain(std::chrono::milliseconds limit);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kerf::server
