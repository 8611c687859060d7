#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "kerf/tensor.h"
#include "program/op.h"

namespace kerf::testing_support {

// The elements of a tensor as a run takes them.
inline std::vector<std::byte> run_memory(const Tensor& tensor) {
  if (tensor.dtype() != DType::kString) {
    return {tensor.bytes().begin(), tensor.bytes().end()};
  }
  const std::vector<std::string_view> strings = tensor.strings();
  const auto bytes = std::as_bytes(std::span(strings));
  return {bytes.begin(), bytes.end()};
}

// A tensor of the elements that a run gave.
inline Tensor run_result(const program::ValueType& type, std::span<const std::byte> memory) {
  if (type.dtype != DType::kString) return Tensor::copy_of(type.dtype, type.shape, memory);
  const auto* strings = reinterpret_cast<const std::string_view*>(memory.data());
  return Tensor::of_strings(type.shape, {strings, memory.size() / sizeof(*strings)});
}

}  // namespace kerf::testing_support
