#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "kerf/tensor.h"
#include "protocol/tensor_data.h"
#include "tensor/npy.h"

namespace kerf::protocol {

// The arrays that Keras computed for a model of tests/data/golden, by their keys.
inline std::map<std::string, Tensor> golden_arrays(const std::string& model) {
  std::map<std::string, Tensor> arrays;
  const std::string file = std::string(KERF_SOURCE_DIR) + "/tests/data/golden/" + model + ".npz";
  for (auto& [key, array] : read_npz(file)) arrays.emplace(key, array);
  return arrays;
}

inline std::string shape_text(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t dim : shape) {
    text += (text.size() == 1 ? "" : ",") + std::to_string(dim);
  }
  return text + "]";
}

// An entry of "inputs" with the tensor's elements as JSON.
inline std::string json_input(const std::string& name, const Tensor& tensor) {
  Buffer data;
  append_json_data(data, tensor.dtype(), tensor.data(),
                   static_cast<std::size_t>(tensor.shape().element_count()));
  return R"({"name":")" + name + R"(","shape":)" + shape_text(tensor.shape()) + R"(,"datatype":")" +
         std::string(dtype_protocol_name(tensor.dtype())) + R"(","data":)" +
         std::string(data.view()) + "}";
}

// An entry of "inputs" whose elements follow as a blob.
inline std::string binary_input(const std::string& name, const Tensor& tensor) {
  return R"({"name":")" + name + R"(","shape":)" + shape_text(tensor.shape()) + R"(,"datatype":")" +
         std::string(dtype_protocol_name(tensor.dtype())) +
         R"(","parameters":{"binary_data_size":)" + std::to_string(tensor.byte_size()) + "}}";
}

// The largest difference, relative to the largest magnitude of `expected`; 1e9 for unequal counts.
inline float difference(const std::vector<float>& got, const Tensor& expected) {
  const auto want = expected.as<float>();
  if (got.size() != want.size()) return 1e9F;
  float scale = 1e-30F;
  float largest = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    scale = std::max(scale, std::abs(want[i]));
    largest = std::max(largest, std::abs(got[i] - want[i]));
  }
  return largest / scale;
}

}  // namespace kerf::protocol
