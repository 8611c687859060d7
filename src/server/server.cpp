#include "server/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "kerf/error.h"
#include "protocol/exchange.h"
#include "server/grpc_server.h"
#include "server/io_thread.h"
#include "server/listener.h"
#include "server/tls.h"

namespace kerf::server {
namespace {

namespace asio = boost::asio;
constexpr asio::use_awaitable_t<Executor> kAwait;

// A process may open few files by default (1024 on Debian) but raise that itself.
void allow_open_files(std::size_t count) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count) return;
  limit.rlim_cur = std::min<rlim_t>(count, limit.rlim_max);
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct Server::Impl {
  explicit Impl(ServerOptions given)
      : options(std::move(given)),
        service(options.limits, options.worker_threads, options.allow_shared_memory),
        shared{.service = service,
               .idle_timeout = options.idle_timeout,
               .request_timeout = options.request_timeout,
               .cors = options.cors} {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned count = options.io_threads != 0 ? options.io_threads : cores;
    for (unsigned i = 0; i < count; ++i) threads.push_back(std::make_unique<IoThread>(shared));
    set_tls(options.tls);
    listener.emplace(main().context(), options.address, options.port);
  }

  ~Impl() {
    // Their workers answer to the threads.
    service.scheduler.stop();
    service.control.stop();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  IoThread& main() { return *threads.front(); }

  void set_tls(const TlsOptions& tls) {
    if (tls.certificate.empty()) return shared.tls.publish(nullptr);
    shared.tls.publish(TlsContext::load(tls));
  }

  asio::awaitable<void, Executor> accept_all() {
    std::size_t next = 0;
    std::size_t failures = 0;
    while (listener->is_open()) {
      IoThread& thread = *threads[next++ % threads.size()];
      Socket socket(thread.context());
      boost::system::error_code error;
      co_await listener->acceptor().async_accept(socket, asio::redirect_error(kAwait, error));
      if (!listener->is_open()) co_return;
      if (error) {
        // Most likely no file descriptor is left: some may be in a moment. It is said once a
        // minute.
        constexpr std::size_t kOften = 600;
        if (failures++ % kOften == 0) {
          spdlog::warn("cannot accept a connection: {}", error.message());
        }
        Timer pause(main().context(), std::chrono::milliseconds(100));
        co_await pause.async_wait(asio::redirect_error(kAwait, error));
        continue;
      }
      failures = 0;
      thread.accept(std::move(socket), shared.connections++ < options.max_connections);
    }
  }

  // On the main I/O thread.
  asio::awaitable<void, Executor> drain(std::string reason) {
    if (shared.draining.exchange(true)) {
      co_return release();  // asked twice: now
    }
    spdlog::info("{}: no new connections, {} open ones may finish", reason,
                 shared.connections.load());
    service.ready = false;
    boost::system::error_code ignored;
    Timer pause(main().context());
    if (options.drain_delay.count() != 0) {
      pause.expires_after(options.drain_delay);
      co_await pause.async_wait(asio::redirect_error(kAwait, ignored));
    }
    listener->close();
    for (const auto& thread : threads) thread->drain();
    if (grpc) grpc->drain(options.drain_timeout);
    const Clock::time_point limit = Clock::now() + options.drain_timeout;
    while (shared.connections != 0 && Clock::now() < limit) {
      pause.expires_after(std::chrono::milliseconds(10));
      co_await pause.async_wait(asio::redirect_error(kAwait, ignored));
    }
    release();
  }

  void start_drain(std::string reason) {
    asio::co_spawn(main().context(), drain(std::move(reason)), [](const std::exception_ptr&) {});
  }

  void release() {
    for (const auto& thread : threads) thread->context().stop();
  }

  ServerOptions options;
  protocol::Service service;
  Shared shared;
  std::vector<std::unique_ptr<IoThread>> threads;
  std::optional<Listener> listener;
  std::optional<GrpcServer> grpc;
  std::atomic<std::uint16_t> grpc_port = 0;
};

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Server::~Server() = default;

std::uint16_t Server::port() const noexcept { return impl_->listener->port(); }

std::string Server::url() const {
  return impl_->listener->url(!impl_->options.tls.certificate.empty());
}

std::uint16_t Server::grpc_port() const noexcept { return impl_->grpc_port; }

void Server::set_access(serving::Access access) { impl_->shared.access.publish(std::move(access)); }

void Server::set_tls(const TlsOptions& tls) { impl_->set_tls(tls); }

void Server::serve(std::shared_ptr<serving::Repository> repository) {
  Impl& impl = *impl_;
  constexpr std::size_t kOtherFiles = 256;
  allow_open_files(impl.options.max_connections + kOtherFiles);
  impl.service.repository = std::move(repository);
  impl.listener->listen();
  if (impl.options.grpc_port) {
    impl.grpc.emplace(impl.service, impl.options.address, *impl.options.grpc_port, impl.options.tls,
                      impl.shared.access);
    impl.grpc_port = impl.grpc->port();
    spdlog::info("listening for gRPC on port {}", impl.grpc->port());
  }
  asio::signal_set signals(impl.main().context());
  if (impl.options.handle_signals) {
    signals.add(SIGTERM);
    signals.add(SIGINT);
    if (impl.options.on_hangup) signals.add(SIGHUP);
  }
  // NOLINTNEXTLINE(misc-no-recursion): it waits for the next signal, it does not call itself
  const std::function<void(const boost::system::error_code&, int)> on_signal =
      [&](const boost::system::error_code& failed, int signal) {
        if (failed) return;
        if (signal == SIGHUP) {
          impl.options.on_hangup();
        } else {
          impl.start_drain(signal == SIGINT ? "SIGINT" : "SIGTERM");
        }
        signals.async_wait(on_signal);
      };
  if (impl.options.handle_signals) signals.async_wait(on_signal);
  asio::co_spawn(impl.main().context(), impl.accept_all(), [](const std::exception_ptr&) {});
  if (impl.options.on_listening) asio::post(impl.main().context(), impl.options.on_listening);
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < impl.threads.size(); ++i) {
      others.emplace_back([&thread = *impl.threads[i]] { thread.run(); });
    }
    impl.main().run();
  }
  // Before the threads that they answer to.
  impl.service.scheduler.stop();
  impl.service.control.stop();
  impl.grpc_port = 0;
  impl.grpc.reset();
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  for (const auto& thread : impl.threads) {
    thread->finish();
    requests += thread->requests;
    errors += thread->errors;
  }
  spdlog::info("stopped after {} requests, {} of them answered with an error", requests, errors);
}

void Server::stop() { impl_->start_drain("stop"); }

}  // namespace kerf::server
