#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "server/server.h"
#include "tests/server/client.h"

namespace kerf::server {

// A server over models of tests/data/golden, in a thread of its own, on a free port.
class Running {
 public:
  explicit Running(const std::vector<std::string>& models, const ServerOptions& options = {})
      : Running(load(models, options), options) {}
  Running(const std::shared_ptr<serving::Repository>& repository, ServerOptions options) {
    spdlog::set_level(spdlog::level::warn);
    options.port = 0;
    options.handle_signals = false;
    server_ = std::make_unique<Server>(options);
    thread_ = std::thread([this, repository] { server_->serve(repository); });
  }
  ~Running() { stop(); }

  void stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
  }
  // Begins to stop, without waiting.
  void begin_stop() { server_->stop(); }
  void wait() { thread_.join(); }

  void set_access(serving::Access access) { server_->set_access(std::move(access)); }
  std::uint16_t port() const { return server_->port(); }

  // The server listens once its thread has come so far.
  Client connect() const {
    for (int i = 0;; ++i) {
      try {
        return Client(port());
      } catch (const std::runtime_error&) {
        if (i == 500) throw;
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
      }
    }
  }
  Received ask(const std::string& request) const {
    Client client = connect();
    client.send(request);
    return client.receive();
  }

 private:
  static std::shared_ptr<serving::Repository> load(const std::vector<std::string>& models,
                                                   const ServerOptions& options) {
    std::vector<std::string> paths;
    for (const std::string& model : models) {
      paths.push_back(std::string(KERF_SOURCE_DIR) + "/tests/data/golden/" + model + ".keras");
    }
    return serving::Repository::load(serving::find_models(paths), {.limits = options.limits});
  }

  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace kerf::server
