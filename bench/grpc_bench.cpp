// The gRPC server against the least that grpc++ can do. See README.md.
//
//   grpc_bench echo                      serves ModelInfer by sending back what it gets; prints
//                                        where it listens
//   grpc_bench load TARGET PID CALLS SECONDS   CALLS calls at a time, by four channels; prints
//   calls
//                                        per second, and the server's microseconds of CPU for each
#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "inference/grpc_service.grpc.pb.h"

namespace {

using Service = inference::GRPCInferenceService;

// As grpc++'s examples do it: messages are objects, replies are made by the callback.
class Echo final : public Service::WithCallbackMethod_ModelInfer<Service::Service> {
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const inference::ModelInferRequest* request,
                                       inference::ModelInferResponse* response) override {
    response->set_model_name(request->model_name());
    const auto& input = request->inputs(0);
    auto& output = *response->add_outputs();
    output.set_name(input.name());
    output.set_datatype(input.datatype());
    *output.mutable_shape() = input.shape();
    response->add_raw_output_contents(request->raw_input_contents(0));
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }
};

int serve_echo() {
  Echo echo;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&echo);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  std::printf("listening on 127.0.0.1:%d\n", port);
  std::fflush(stdout);
  server->Wait();
  return 0;
}

// Of a process, in user and kernel mode.
double cpu_seconds(const char* process) {
  std::ifstream file(std::string("/proc/") + process + "/stat");
  std::string text((std::istreambuf_iterator<char>(file)), {});
  text.erase(0, text.rfind(')') + 2);
  unsigned long user = 0;
  unsigned long kernel = 0;
  // Fields 14 and 15, counted from the process' number; field 3 comes first here.
  std::sscanf(text.c_str(), "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
  return static_cast<double>(user + kernel) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct Load {
  std::vector<std::unique_ptr<Service::Stub>> stubs;
  inference::ModelInferRequest request;
  std::atomic<std::uint64_t> done = 0;
  std::atomic<bool> ending = false;
  std::atomic<unsigned> running = 0;
};

struct Caller {
  Load* load = nullptr;
  std::size_t index = 0;
  std::unique_ptr<grpc::ClientContext> context;
  inference::ModelInferResponse response;

  // NOLINTNEXTLINE(misc-no-recursion): gRPC calls back
  void call() {
    context = std::make_unique<grpc::ClientContext>();
    load->stubs[index % load->stubs.size()]->async()->ModelInfer(
        context.get(), &load->request, &response, [this](const grpc::Status& status) {
          if (!status.ok()) {
            std::fprintf(stderr, "%s\n", status.error_message().c_str());
            std::exit(1);
          }
          load->done.fetch_add(1, std::memory_order_relaxed);
          if (load->ending) {
            load->running.fetch_sub(1);
          } else {
            call();
          }
        });
  }
};

int put_load(const char* target, const char* process, unsigned calls, double seconds) {
  Load load;
  for (int i = 0; i < 4; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt("channel", i);  // so that each has a connection of its own
    load.stubs.push_back(Service::NewStub(
        grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments)));
  }
  load.request.set_model_name("model");
  auto& input = *load.request.add_inputs();
  grpc::ClientContext context;
  inference::ModelMetadataRequest asked;
  inference::ModelMetadataResponse metadata;
  asked.set_name("model");
  input.set_name("x");
  input.set_datatype("FP32");
  std::size_t count = 32;
  if (load.stubs[0]->ModelMetadata(&context, asked, &metadata).ok()) {
    input.set_name(metadata.inputs(0).name());
    count = static_cast<std::size_t>(metadata.inputs(0).shape(1));
  }
  input.add_shape(1);
  input.add_shape(static_cast<std::int64_t>(count));
  load.request.add_raw_input_contents(std::string(count * sizeof(float), '\0'));
  std::vector<Caller> callers(calls);
  load.running = calls;
  for (std::size_t i = 0; i < callers.size(); ++i) {
    callers[i].load = &load;
    callers[i].index = i;
    callers[i].call();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const double cpu_before = cpu_seconds(process);
  const std::uint64_t before = load.done;
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  const auto done = static_cast<double>(load.done - before);
  const double cpu = cpu_seconds(process) - cpu_before;
  load.ending = true;
  while (load.running != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::printf("%.0f calls/s, %.2f us of CPU each\n", done / seconds, cpu / done * 1e6);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count == 2 && std::string_view(arguments[1]) == "echo") return serve_echo();
  if (count == 6 && std::string_view(arguments[1]) == "load") {
    return put_load(arguments[2], arguments[3], static_cast<unsigned>(std::atoi(arguments[4])),
                    std::atof(arguments[5]));
  }
  std::fprintf(stderr, "usage: grpc_bench echo | load TARGET PID CALLS SECONDS\n");
  return 2;
}
