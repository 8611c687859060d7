#include "onnxruntime_session.h"

#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include <cstdlib>
#include <random>
#include <stdexcept>
#include <vector>

namespace kerf::bench {
namespace {

const OrtApiBase& api_base() {
  static const OrtApiBase* const kBase = [] {
    const char* path = std::getenv("ORT_LIB");
    if (path == nullptr) {
      throw std::runtime_error("set ORT_LIB to the path of libonnxruntime.so (see README.md)");
    }
    void* library = dlopen(path, RTLD_NOW);
    if (library == nullptr) throw std::runtime_error(dlerror());
    auto* get = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    if (get == nullptr) throw std::runtime_error(dlerror());
    return get();
  }();
  return *kBase;
}

const OrtApi& api() {
  static const OrtApi* const kApi = api_base().GetApi(ORT_API_VERSION);
  if (kApi == nullptr) {
    throw std::runtime_error("the library " + OnnxRuntimeSession::version() +
                             " is older than the headers in ORT_INCLUDE");
  }
  return *kApi;
}

void check(OrtStatus* status) {
  if (status == nullptr) return;
  const std::string message = api().GetErrorMessage(status);
  api().ReleaseStatus(status);
  throw std::runtime_error("ONNX Runtime: " + message);
}

}  // namespace

struct OnnxRuntimeSession::Impl {
  OrtEnv* env = nullptr;
  OrtSessionOptions* options = nullptr;
  OrtSession* session = nullptr;
  OrtMemoryInfo* memory = nullptr;
  std::vector<std::string> input_names;
  std::vector<std::string> output_names;
  std::vector<const char*> inputs_called;
  std::vector<const char*> outputs_called;
  std::vector<std::vector<std::uint32_t>> buffers;
  std::vector<OrtValue*> inputs;
  std::vector<OrtValue*> outputs;

  ~Impl() {
    for (OrtValue* value : inputs) api().ReleaseValue(value);
    for (OrtValue* value : outputs) api().ReleaseValue(value);
    if (memory != nullptr) api().ReleaseMemoryInfo(memory);
    if (session != nullptr) api().ReleaseSession(session);
    if (options != nullptr) api().ReleaseSessionOptions(options);
    if (env != nullptr) api().ReleaseEnv(env);
  }

  void read_names() {
    OrtAllocator* allocator = nullptr;
    check(api().GetAllocatorWithDefaultOptions(&allocator));
    const auto read = [&](auto count_of, auto name_of, std::vector<std::string>& names,
                          std::vector<const char*>& called) {
      std::size_t count = 0;
      check(count_of(session, &count));
      for (std::size_t i = 0; i < count; ++i) {
        char* name = nullptr;
        check(name_of(session, i, allocator, &name));
        names.emplace_back(name);
        check(api().AllocatorFree(allocator, name));
      }
      for (const std::string& name : names) called.push_back(name.c_str());
    };
    read(api().SessionGetInputCount, api().SessionGetInputName, input_names, inputs_called);
    read(api().SessionGetOutputCount, api().SessionGetOutputName, output_names, outputs_called);
  }

  void make_input(std::size_t i, std::int64_t batch) {
    OrtTypeInfo* info = nullptr;
    check(api().SessionGetInputTypeInfo(session, i, &info));
    const OrtTensorTypeAndShapeInfo* tensor = nullptr;
    check(api().CastTypeInfoToTensorInfo(info, &tensor));
    ONNXTensorElementDataType type{};
    check(api().GetTensorElementType(tensor, &type));
    std::size_t rank = 0;
    check(api().GetDimensionsCount(tensor, &rank));
    std::vector<std::int64_t> shape(rank);
    check(api().GetDimensions(tensor, shape.data(), rank));
    api().ReleaseTypeInfo(info);
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < rank; ++axis) {
      if (shape[axis] < 0) shape[axis] = axis == 0 ? batch : 1;
      count *= static_cast<std::size_t>(shape[axis]);
    }
    std::vector<std::uint32_t>& buffer = buffers.emplace_back(count);
    std::mt19937 random{static_cast<unsigned>(i)};
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
      std::uniform_real_distribution<float> distribution(-1, 1);
      auto* values = reinterpret_cast<float*>(buffer.data());
      for (std::size_t k = 0; k < count; ++k) values[k] = distribution(random);
    } else if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32) {
      for (std::uint32_t& id : buffer) id = random() % 100000;
    } else {
      throw std::runtime_error("input " + input_names[i] + " is neither float32 nor int32");
    }
    check(api().CreateTensorWithDataAsOrtValue(memory, buffer.data(), count * sizeof(float),
                                               shape.data(), rank, type,
                                               &inputs.emplace_back(nullptr)));
  }
};

OnnxRuntimeSession::OnnxRuntimeSession(const std::filesystem::path& model, int threads,
                                       std::int64_t batch)
    : impl_(std::make_unique<Impl>()) {
  Impl& impl = *impl_;
  check(api().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "kerf", &impl.env));
  check(api().CreateSessionOptions(&impl.options));
  check(api().SetIntraOpNumThreads(impl.options, threads));
  check(api().SetInterOpNumThreads(impl.options, 1));
  check(api().SetSessionGraphOptimizationLevel(impl.options, ORT_ENABLE_ALL));
  check(api().CreateSession(impl.env, model.c_str(), impl.options, &impl.session));
  check(api().CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &impl.memory));
  impl.read_names();
  for (std::size_t i = 0; i < impl.input_names.size(); ++i) impl.make_input(i, batch);
  impl.outputs.resize(impl.output_names.size());
}

OnnxRuntimeSession::~OnnxRuntimeSession() = default;

void OnnxRuntimeSession::run() {
  check(api().Run(impl_->session, nullptr, impl_->inputs_called.data(), impl_->inputs.data(),
                  impl_->inputs.size(), impl_->outputs_called.data(), impl_->outputs.size(),
                  impl_->outputs.data()));
}

std::string OnnxRuntimeSession::version() { return api_base().GetVersionString(); }

}  // namespace kerf::bench
