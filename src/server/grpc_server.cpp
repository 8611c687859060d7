#include "server/grpc_server.h"

#include <fmt/format.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <fstream>
#include <iterator>
#include <limits>
#include <thread>

#include "kerf/error.h"
#include "server/grpc_access.h"
#include "server/grpc_inference_service.h"
#include "server/grpc_tensorflow_services.h"

namespace kerf::server {

struct GrpcServer::Impl {
  explicit Impl(protocol::Service& service)
      : inference(service), prediction(service), models(service), sessions(service) {}

  GrpcInferenceService inference;
  GrpcPredictionService prediction;
  GrpcModelService models;
  GrpcSessionService sessions;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
  std::jthread shutting_down;
};

namespace {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) throw Error(ErrorCode::kNotFound, "this cannot be read", path.string());
  return text;
}

std::shared_ptr<grpc::ServerCredentials> credentials(
    const TlsOptions& tls, const serving::Published<serving::Access>& access) {
  if (tls.certificate.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs.push_back({read_file(tls.key), read_file(tls.certificate)});
  if (!tls.client_ca.empty()) {
    options.pem_root_certs = read_file(tls.client_ca);
    options.client_certificate_request = GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  }
  auto credentials = grpc::SslServerCredentials(options);
  credentials->SetAuthMetadataProcessor(std::make_shared<GrpcAccess>(access));
  return credentials;
}

}  // namespace

GrpcServer::GrpcServer(protocol::Service& service, const std::string& address, std::uint16_t port,
                       const TlsOptions& tls, const serving::Published<serving::Access>& access)
    : impl_(std::make_unique<Impl>(service)) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  // Beside the bytes of tensors, a message names them.
  constexpr std::size_t kNames = std::size_t{1} << 20;
  constexpr std::size_t kMost = std::numeric_limits<int>::max();
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min(service.limits.request_bytes + kNames, kMost)));
  builder.SetMaxSendMessageSize(std::numeric_limits<int>::max());
  // Two servers on one port would each get some of the connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Only reflection is served by threads of this kind.
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 1);
  const std::string where = address.find(':') == std::string::npos
                                ? fmt::format("{}:{}", address, port)
                                : fmt::format("[{}]:{}", address, port);
  builder.AddListeningPort(where, credentials(tls, access), &impl_->port);
  builder.RegisterService(&impl_->inference);
  builder.RegisterService(&impl_->prediction);
  builder.RegisterService(&impl_->models);
  builder.RegisterService(&impl_->sessions);
  impl_->server = builder.BuildAndStart();
  if (impl_->server == nullptr || impl_->port == 0) {
    throw Error(ErrorCode::kUnavailable, "cannot listen for gRPC: is the port in use?", where);
  }
}

GrpcServer::~GrpcServer() {
  drain(std::chrono::milliseconds(0));
  impl_->shutting_down.join();
}

std::uint16_t GrpcServer::port() const noexcept { return static_cast<std::uint16_t>(impl_->port); }

void GrpcServer::drain(std::chrono::milliseconds limit) {
  if (impl_->shutting_down.joinable()) return;
  impl_->server->GetHealthCheckService()->Shutdown();
  impl_->shutting_down = std::jthread([server = impl_->server.get(), limit] {
    server->Shutdown(std::chrono::system_clock::now() + limit);
  });
}

}  // namespace kerf::server
