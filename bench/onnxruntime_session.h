#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "kerf/tensor.h"

namespace kerf::bench {

// An ONNX model opened by ONNX Runtime through its C API, with every optimisation on and inputs
// made up once: floats in [-1, 1), ids below 100,000. The library is loaded from the path in the
// environment variable ORT_LIB. One thread.
class OnnxRuntimeSession {
 public:
  // `threads` work inside one call; `batch` stands for an open first dimension, 1 for other open
  // ones. Throws std::runtime_error.
  OnnxRuntimeSession(const std::filesystem::path& model, int threads, std::int64_t batch);
  ~OnnxRuntimeSession();
  OnnxRuntimeSession(const OnnxRuntimeSession&) = delete;
  OnnxRuntimeSession& operator=(const OnnxRuntimeSession&) = delete;

  // The outputs of the first call are written again by the later ones.
  void run();
  static std::string version();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kerf::bench
