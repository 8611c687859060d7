#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "config/config.h"
#include "config/values.h"
#include "kerf/error.h"
#include "server/log.h"
#include "server/server.h"
#include "server/systemd.h"
#include "serving/repository.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Serve models by the Open Inference Protocol (v2), over HTTP and gRPC. A PATH is a model file, or a
folder of model files or of version folders (NAME/1/model.keras), of which the highest version is
served; NAME=PATH gives a model another name. The server accepts connections at once, and is ready
when every model is loaded. SIGTERM and SIGINT let running requests end, then stop the server; SIGHUP
has it read its configuration again.)";

constexpr auto kExamples = R"(Examples:
  kerf serve models/
  kerf serve ranker=recommender.keras classifier.keras --port 9000
  kerf serve --config kerf.toml --set server.idle_timeout='"2m"'
  curl localhost:8000/v2/models/recommender                 its inputs and outputs
  curl localhost:8000/v2/models/recommender/graph           every tensor that can be fed or fetched
  curl localhost:8000/v2/models/recommender/infer -d @request.json
A request feeds the tensors that it names in "inputs", and fetches those in "outputs":
  {"inputs": [{"name": "concat", "datatype": "FP32", "shape": [1, 18], "data": [...]}],
   "outputs": [{"name": "dense_hidden"}, {"name": "dense_final"}]})";

struct Options {
  std::vector<std::string> paths;
  std::optional<std::filesystem::path> file;
  std::vector<config::Override> overrides;
  config::ExtensionList extensions;
  bool print = false;

  config::Config read() const {
    config::Config config = config::read_config(file, overrides);
    const auto append = [](std::vector<std::string>& list, const std::vector<std::string>& more) {
      list.insert(list.end(), more.begin(), more.end());
    };
    append(config.models.paths, paths);
    append(config.extensions.aliases, extensions.aliases);
    append(config.extensions.plugins, extensions.plugins);
    return config;
  }
};

void log_event(const serving::RepositoryEvent& event, bool starting) {
  using Kind = serving::RepositoryEvent::Kind;
  switch (event.kind) {
    case Kind::kLoaded:
      return spdlog::info("model {} version {}: loaded in {:.3f} s, in {}", event.model,
                          event.version, event.seconds, event.text);
    case Kind::kFailed:
      if (starting) return;  // what keeps the server from starting is said when it ends
      return spdlog::error("model {} version {} cannot be loaded: {}", event.model, event.version,
                           event.text);
    case Kind::kUnloaded:
      return spdlog::info("model {} version {}: unloaded", event.model, event.version);
    case Kind::kProblem:
      if (starting) return;
      return spdlog::warn("{}", event.text);
    case Kind::kNote:
      return spdlog::info("model {}: {}", event.model, event.text);
  }
}

// A server with its configuration, which it reads again when it is told to.
class Serving {
 public:
  Serving(const Options& options, const config::Config& config)
      : options_(options), config_(config), server_(with_calls(config.server_options())) {
    serving::RepositorySettings settings;
    settings.loading.limits = config.server.limits;
    settings.loading.threads = config.models.load_threads;
    settings.loading.extensions = config.extensions.read();
    settings.loading.progress = [this](double share) {
      if (progress_) progress_->update(share);
    };
    settings.control = config.models.control;
    settings.poll_interval = config.models.poll_interval;
    settings.event = [this](const serving::RepositoryEvent& event) {
      log_event(event, starting_ && !config_.models.start_without_all);
    };
    repository_ = std::make_shared<serving::Repository>(std::move(settings));
    server_.set_access(access(config));
  }

  // Until the server stops. Throws what keeps models from being served.
  void run() {
    std::thread loader([this] { load_and_reload(); });
    std::exception_ptr thrown;
    try {
      server_.serve(repository_);
    } catch (...) {
      thrown = std::current_exception();
    }
    server::notify_systemd("STOPPING=1");
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      // Reading a model cannot be called off, and there is nothing to lose.
      if (busy_ && !thrown) {
        spdlog::default_logger()->flush();
        std::_Exit(kSuccess);
      }
    }
    wake_.notify_one();
    loader.join();
    if (thrown) std::rethrow_exception(thrown);
    if (failure_) throw Error(*failure_);
  }

 private:
  server::ServerOptions with_calls(server::ServerOptions options) {
    options.on_listening = [this] {
      const std::lock_guard lock(mutex_);
      listening_ = true;
      wake_.notify_one();
    };
    options.on_hangup = [this] {
      const std::lock_guard lock(mutex_);
      wanted_ = true;
      wake_.notify_one();
    };
    return options;
  }

  static serving::Access access(const config::Config& config) {
    return serving::Access(config.auth.keys, config.auth.open_health, config.auth.open_metrics);
  }

  void load_and_reload() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return ending_ || listening_; });
    if (ending_) return;
    busy_ = true;
    lock.unlock();
    const bool loaded = load();
    lock.lock();
    busy_ = false;
    if (!loaded) return server_.stop();
    for (;;) {
      wake_.wait(lock, [this] { return ending_ || wanted_; });
      if (ending_) return;
      wanted_ = false;
      busy_ = true;
      lock.unlock();
      reload();
      lock.lock();
      busy_ = false;
    }
  }

  // False if the server is not to go on.
  bool load() {
    const std::vector<serving::ModelSpec> specs = config_.specs();
    std::vector<std::string> failures;
    {
      Progress progress("reading models");
      progress_ = &progress;
      failures = repository_->configure(specs);
      progress_ = nullptr;
    }
    starting_ = false;
    if (!failures.empty() && !config_.models.start_without_all) {
      failure_.emplace(ErrorCode::kInvalidFile, fmt::format("{}", fmt::join(failures, "\n")));
      return false;
    }
    spdlog::info("listening on {}: {} models{}", server_.url(),
                 repository_->snapshot()->models().size(),
                 repository_->started() ? "" : ", but not ready, for not all can be served");
    server::notify_systemd("READY=1");
    return true;
  }

  void reload() {
    server::notify_systemd("RELOADING=1");
    try {
      const config::Config next = options_.read();
      if (!next.auth.keys.empty() && config_.server.tls.certificate.empty() &&
          server_.grpc_port() != 0) {
        throw Error(ErrorCode::kInvalidArgument,
                    "keys are asked for over gRPC with TLS only, which this server began without: "
                    "start it again");
      }
      server_.set_access(access(next));
      server_.set_tls(next.server.tls);
      spdlog::set_level(spdlog::level::from_str(next.log_level));
      repository_->configure(next.specs());
      // What a server is made with stays.
      config::Config same = next;
      same.server = config_.server;
      same.server.tls = next.server.tls;
      same.models.control = config_.models.control;
      same.extensions = config_.extensions;
      same.log_format = config_.log_format;
      same.models.poll_interval = config_.models.poll_interval;
      if (config::print_config(same) != config::print_config(next)) {
        spdlog::warn("some of what has changed in the configuration waits for the next start");
      }
      spdlog::info("configuration read again: {} models", repository_->snapshot()->models().size());
    } catch (const std::exception& error) {
      spdlog::error("the configuration stays as it was: {}", error.what());
    }
    server::notify_systemd("READY=1");
  }

  const Options& options_;
  config::Config config_;
  server::Server server_;
  std::shared_ptr<serving::Repository> repository_;
  Progress* progress_ = nullptr;
  bool starting_ = true;          // both are the loader's
  std::optional<Error> failure_;  // written before the server is stopped
  std::mutex mutex_;              // guards what follows
  std::condition_variable wake_;
  bool listening_ = false;
  bool busy_ = false;    // reading models or the configuration
  bool wanted_ = false;  // the configuration is to be read
  bool ending_ = false;
};

int serve(const Options& options) {
  const config::Config config = options.read();
  if (options.print) {
    fmt::print("{}", config::print_config(config));
    return kSuccess;
  }
  const std::vector<serving::ModelSpec> specs = config.specs();
  if (specs.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "there is no model to serve: give a PATH, or [models] in the configuration");
  }
  server::set_up_logging(
      config.log_format == "json" ? server::LogFormat::kJson : server::LogFormat::kText,
      config.log_level);
  Serving(options, config).run();
  return kSuccess;
}

// An option that stands for a key of the configuration. Its value is TOML as it stands, or text.
CLI::Option* add_key(CLI::App& command, Options& options, const std::string& option,
                     const std::string& key, const std::string& help, bool is_text) {
  return command
      .add_option_function<std::string>(
          option,
          [&options, option, key, is_text](const std::string& value) {
            options.overrides.push_back({.key = key,
                                         .value = is_text ? config::shown_text(value) : value,
                                         .option = option});
          },
          help)
      ->type_name(is_text ? "TEXT" : "N");
}

}  // namespace

void add_serve(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand("serve", kHelp);
  command.footer(kExamples);
  command.add_option("PATH", options->paths, "model files, or folders of them");
  command.add_option("--config", options->file, "a configuration file (see docs/configuration.md)")
      ->type_name("FILE");
  const auto key = [&](const char* option, const char* name, const char* help, const char* standard,
                       bool is_text = false) {
    CLI::Option* added = add_key(command, *options, option, name, help, is_text);
    if (*standard != '\0') added->default_str(standard);
    return added;
  };
  constexpr bool kText = true;
  key("--address", "server.address", "an IP address, 0.0.0.0 or :: for all, unix:PATH, or systemd",
      "127.0.0.1", kText)
      ->type_name("ADDRESS");
  key("--port", "server.port", "the TCP port; 0 for any free one", "8000")->type_name("PORT");
  key("--grpc-port", "server.grpc_port",
      "the TCP port for gRPC (default: the one after --port); 0 for any", "")
      ->type_name("PORT");
  const auto flag = [&](const char* option, const char* name, const char* value, const char* help) {
    command.add_flag_callback(
        option,
        [options = options.get(), option, name, value] {
          options->overrides.push_back({.key = name, .value = value, .option = option});
        },
        help);
  };
  flag("--no-grpc", "server.grpc_port", "\"off\"", "serve HTTP alone");
  flag("--allow-shared-memory", "server.allow_shared_memory", "true",
       "let clients on this machine send tensors by POSIX shared memory");
  key("--precision", "models.precision", "of weights and of their products: float32, bf16 or int8",
      "float32", kText)
      ->check(CLI::IsMember({"float32", "bf16", "int8"}))
      ->type_name("PRECISION");
  key("--io-threads", "server.io_threads", "threads for connections (default: cores)", "");
  key("--worker-threads", "server.worker_threads",
      "threads for runs that take long (default: cores)", "");
  key("--max-connections", "server.max_connections", "further ones are refused, with status 503",
      "4096");
  command
      .add_option_function<std::uint64_t>(
          "--max-request-mib",
          [options = options.get()](std::uint64_t mib) {
            options->overrides.push_back({.key = "limits.request_bytes",
                                          .value = fmt::format("\"{}MiB\"", mib),
                                          .option = "--max-request-mib"});
          },
          "larger requests are refused, with status 413")
      ->default_str("64")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->type_name("MIB");
  command
      .add_option_function<std::uint64_t>(
          "--drain-seconds",
          [options = options.get()](std::uint64_t seconds) {
            options->overrides.push_back({.key = "server.drain_timeout",
                                          .value = fmt::format("\"{}s\"", seconds),
                                          .option = "--drain-seconds"});
          },
          "how long running requests may take to end when the server stops")
      ->default_str("25")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{86400}))
      ->type_name("S");
  key("--model-control", "models.control",
      "who loads models later: none, explicit (calls) or poll (files)", "none", kText)
      ->type_name("WHO");
  key("--log-format", "log.format", "how log lines look: text or json", "text", kText)
      ->type_name("FORMAT");
  key("--log-level", "log.level", "what is logged; debug has a line for each request", "info",
      kText)
      ->type_name("LEVEL");
  key("--tls-certificate", "tls.certificate", "a PEM file; with it, the server speaks TLS", "",
      kText)
      ->type_name("FILE");
  key("--tls-key", "tls.key", "the certificate's private key, a PEM file", "", kText)
      ->type_name("FILE");
  add_extension_options(command, options->extensions);
  command
      .add_option_function<std::vector<std::string>>(
          "--set",
          [options = options.get()](const std::vector<std::string>& settings) {
            for (const std::string& setting : settings) {
              const auto [name, value] = name_and_value(setting);
              options->overrides.push_back({.key = name, .value = value, .option = "--set"});
            }
          },
          "any key of the configuration, its value as TOML")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  command.add_flag("--print-config", options->print, "print the configuration in effect, and end");
  command.callback([=, &chosen] {
    if (options->paths.empty() && !options->file && !options->print) {
      throw CLI::RequiredError("PATH or --config");
    }
    try {
      config::check_overrides(options->overrides);
    } catch (const Error& error) {
      throw CLI::ValidationError(error.what());
    }
    chosen = [options] { return serve(*options); };
  });
}

}  // namespace kerf::cli
