#include <fmt/format.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/progress.h"
#include "server/server.h"
#include "serving/repository.h"

namespace kerf::cli {
namespace {

constexpr auto kHelp =
    R"(Serve models by the Open Inference Protocol (v2), over HTTP and gRPC. A PATH is a model file, or a
folder of model files or of version folders (NAME/1/model.keras); NAME=PATH gives a model another
name. SIGTERM and SIGINT let running requests end, then stop the server.)";

constexpr auto kExamples = R"(Examples:
  kerf serve models/
  kerf serve ranker=recommender.keras classifier.keras --port 9000
  curl localhost:8000/v2/models/recommender                 its inputs and outputs
  curl localhost:8000/v2/models/recommender/graph           every tensor that can be fed or fetched
  curl localhost:8000/v2/models/recommender/infer -d @request.json
A request feeds the tensors that it names in "inputs", and fetches those in "outputs":
  {"inputs": [{"name": "concat", "datatype": "FP32", "shape": [1, 18], "data": [...]}],
   "outputs": [{"name": "dense_hidden"}, {"name": "dense_final"}]})";

struct Options {
  std::vector<std::string> paths;
  server::ServerOptions server;
  std::size_t max_request_mib = 64;
  std::uint64_t drain_seconds = 25;
  std::optional<std::uint16_t> grpc_port;
  bool no_grpc = false;
};

// The port after HTTP's, as 8001 is after 8000; any free one, if HTTP's is that.
std::optional<std::uint16_t> grpc_port(const Options& options) {
  if (options.no_grpc) return std::nullopt;
  if (options.grpc_port) return options.grpc_port;
  const std::uint16_t port = options.server.port;
  return static_cast<std::uint16_t>(port == 0 ? 0 : port + 1);
}

int serve(const Options& options) {
  spdlog::default_logger()->sinks() = {std::make_shared<spdlog::sinks::stderr_color_sink_mt>()};
  server::ServerOptions settings = options.server;
  settings.grpc_port = grpc_port(options);
  settings.limits.request_bytes = options.max_request_mib << 20;
  settings.drain_timeout = std::chrono::seconds(options.drain_seconds);
  const std::vector<serving::ModelFile> files = serving::find_models(options.paths);
  server::Server server(settings);

  std::shared_ptr<serving::Repository> repository;
  std::map<const serving::ServedModel*, double> seconds;
  {
    Progress progress(
        fmt::format("reading {} model{}", files.size(), files.size() == 1 ? "" : "s"));
    serving::LoadSettings loading;
    loading.limits = settings.limits;
    loading.progress = [&](double share) { progress.update(share); };
    loading.loaded = [&](const serving::ServedModel& model, double took) {
      seconds[&model] = took;
    };
    repository = serving::Repository::load(files, loading);
  }
  const std::shared_ptr<const serving::Snapshot> models = repository->snapshot();
  for (const auto& [name, entry] : models->models()) {
    for (const serving::ModelVersion& version : entry.versions) {
      spdlog::info("model {} version {}: {} parameters, loaded in {:.3f} s", name, version.version,
                   version.model->model().parameter_count(), seconds[version.model.get()]);
    }
  }
  server.serve(repository);
  return kSuccess;
}

}  // namespace

void add_serve(CLI::App& app, Action& chosen) {
  const auto options = std::make_shared<Options>();
  server::ServerOptions& server = options->server;
  CLI::App& command = *app.add_subcommand("serve", kHelp);
  command.footer(kExamples);
  command.add_option("PATH", options->paths, "model files, or folders of them")->required();
  command
      .add_option("--address", server.address, "where to listen; 0.0.0.0 or :: for every address")
      ->capture_default_str()
      ->type_name("IP");
  command.add_option("--port", server.port, "the TCP port; 0 for any free one")
      ->capture_default_str()
      ->type_name("PORT");
  command
      .add_option("--grpc-port", options->grpc_port,
                  "the TCP port for gRPC (default: the one after --port); 0 for any free one")
      ->type_name("PORT");
  command.add_flag("--no-grpc", options->no_grpc, "serve HTTP alone");
  command.add_flag("--allow-shared-memory", server.allow_shared_memory,
                   "let clients on this machine send tensors by POSIX shared memory; any of them "
                   "can then have kerf read and write any such memory that kerf may");
  command.add_option("--io-threads", server.io_threads, "threads for connections (default: cores)")
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
  command
      .add_option("--worker-threads", server.worker_threads,
                  "threads for runs that take long (default: cores)")
      ->check(CLI::Range(1U, 1024U))
      ->type_name("N");
  command
      .add_option("--max-connections", server.max_connections,
                  "further ones are refused, with status 503")
      ->capture_default_str()
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command
      .add_option("--max-request-mib", options->max_request_mib,
                  "larger requests are refused, with status 413")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1}, std::size_t{1} << 20))
      ->type_name("MIB");
  command
      .add_option("--drain-seconds", options->drain_seconds,
                  "how long running requests may take to end when the server stops")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{86400}))
      ->type_name("S");
  command.callback([=, &chosen] { chosen = [options] { return serve(*options); }; });
}

}  // namespace kerf::cli
