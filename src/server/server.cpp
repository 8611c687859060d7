#include "server/server.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
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

namespace kerf::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using Acceptor = asio::basic_socket_acceptor<tcp, Executor>;
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
               .request_timeout = options.request_timeout} {
    const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
    const unsigned count = options.io_threads != 0 ? options.io_threads : cores;
    for (unsigned i = 0; i < count; ++i) threads.push_back(std::make_unique<IoThread>(shared));
    acceptor.emplace(main().context());
    bind();
  }

  ~Impl() {
    // Their workers answer to the threads.
    service.scheduler.stop();
    service.control.stop();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  IoThread& main() { return *threads.front(); }

  void bind() {
    boost::system::error_code error;
    const asio::ip::address address = asio::ip::make_address(options.address, error);
    if (error) {
      throw Error(ErrorCode::kInvalidArgument, "this is not an IP address", options.address);
    }
    const tcp::endpoint endpoint(address, options.port);
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(Acceptor::reuse_address(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (error) {
      throw Error(ErrorCode::kUnavailable,
                  fmt::format("cannot take this address: {}", error.message()),
                  fmt::format("{}:{}", options.address, options.port));
    }
    bound = acceptor->local_endpoint();
  }

  asio::awaitable<void, Executor> accept_all() {
    std::size_t next = 0;
    while (acceptor->is_open()) {
      IoThread& thread = *threads[next++ % threads.size()];
      Socket socket(thread.context());
      boost::system::error_code error;
      co_await acceptor->async_accept(socket, asio::redirect_error(kAwait, error));
      if (!acceptor->is_open()) co_return;
      if (error) {
        // Most likely no file descriptor is left: some may be in a moment.
        spdlog::warn("cannot accept a connection: {}", error.message());
        Timer pause(main().context(), std::chrono::milliseconds(100));
        co_await pause.async_wait(asio::redirect_error(kAwait, error));
        continue;
      }
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
    acceptor->close(ignored);
    for (const auto& thread : threads) thread->drain();
    if (grpc) grpc->drain(options.drain_timeout);
    const Clock::time_point limit = Clock::now() + options.drain_timeout;
    Timer pause(main().context());
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
  std::optional<Acceptor> acceptor;
  tcp::endpoint bound;
  std::optional<GrpcServer> grpc;
  std::atomic<std::uint16_t> grpc_port = 0;
};

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Server::~Server() = default;

std::uint16_t Server::port() const noexcept { return impl_->bound.port(); }

std::string Server::url() const {
  const std::string address = impl_->bound.address().to_string();
  return impl_->bound.address().is_v6() ? fmt::format("http://[{}]:{}", address, port())
                                        : fmt::format("http://{}:{}", address, port());
}

std::uint16_t Server::grpc_port() const noexcept { return impl_->grpc_port; }

void Server::serve(std::shared_ptr<serving::Repository> repository) {
  Impl& impl = *impl_;
  constexpr std::size_t kOtherFiles = 256;
  allow_open_files(impl.options.max_connections + kOtherFiles);
  impl.service.repository = std::move(repository);
  boost::system::error_code error;
  impl.acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (error) {
    throw Error(ErrorCode::kUnavailable, fmt::format("cannot listen: {}", error.message()), url());
  }
  if (impl.options.grpc_port) {
    impl.grpc.emplace(impl.service, impl.options.address, *impl.options.grpc_port);
    impl.grpc_port = impl.grpc->port();
    spdlog::info("listening for gRPC on port {}", impl.grpc->port());
  }
  asio::signal_set signals(impl.main().context());
  if (impl.options.handle_signals) {
    signals.add(SIGTERM);
    signals.add(SIGINT);
  }
  // NOLINTNEXTLINE(misc-no-recursion): it waits for the next signal, it does not call itself
  const std::function<void(const boost::system::error_code&, int)> on_signal =
      [&](const boost::system::error_code& failed, int signal) {
        if (failed) return;
        impl.start_drain(signal == SIGINT ? "SIGINT" : "SIGTERM");
        signals.async_wait(on_signal);
      };
  if (impl.options.handle_signals) signals.async_wait(on_signal);
  asio::co_spawn(impl.main().context(), impl.accept_all(), [](const std::exception_ptr&) {});
  spdlog::info("listening on {}: {} models, {} I/O threads, {} workers", url(),
               impl.service.repository->snapshot()->models().size(), impl.threads.size(),
               impl.service.scheduler.worker_count());
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
