#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kerf/tensor.h"
#include "program/op.h"

namespace kerf::reference {

using Index = std::vector<std::int64_t>;

// A tensor as numbers that can be addressed.
struct Values {
  Values(DType type, const Shape& dims)
      : dtype(type), shape(dims), numbers(static_cast<std::size_t>(dims.element_count())) {}
  explicit Values(const Tensor& tensor) : dtype(tensor.dtype()), shape(tensor.shape()) {
    const Tensor wide = tensor.cast(DType::kFloat64);
    numbers.assign(wide.as<double>().begin(), wide.as<double>().end());
  }
  Tensor tensor() const { return Tensor::of<double>(DType::kFloat64, shape, numbers).cast(dtype); }

  std::size_t offset(const Index& index) const {
    std::size_t at = 0;
    for (std::size_t i = 0; i < shape.rank(); ++i) {
      at = at * static_cast<std::size_t>(shape[i]) + static_cast<std::size_t>(index[i]);
    }
    return at;
  }
  double& operator[](const Index& index) { return numbers[offset(index)]; }
  double operator[](const Index& index) const { return numbers[offset(index)]; }
  // The element that stands at `index` of a larger shape this one is broadcast to.
  double broadcast(const Index& index) const {
    Index own(shape.rank());
    for (std::size_t i = 0; i < own.size(); ++i) {
      own[i] = shape[i] == 1 ? 0 : index[index.size() - own.size() + i];
    }
    return (*this)[own];
  }

  DType dtype;
  Shape shape;
  std::vector<double> numbers;
};

// Calls body(index) for every index of a shape, the last axis fastest.
template <typename Body>
void for_each(const Shape& shape, const Body& body) {
  if (shape.element_count() == 0) return;
  Index index(shape.rank());
  for (;;) {
    body(index);
    std::size_t axis = shape.rank();
    while (axis > 0 && ++index[axis - 1] == shape[axis - 1]) index[--axis] = 0;
    if (axis == 0) return;
  }
}

inline std::size_t positive(std::int64_t axis, const Shape& shape) {
  return static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(shape.rank()) : axis);
}

// The ops that multiply matrices, and pooling: reference_matrix.cpp.
using Operands = std::span<const Values>;
using Results = std::span<Values>;
void compute(const program::Linear& op, Operands x, Results y);
void compute(const program::MatMul& op, Operands x, Results y);
void compute(const program::Conv& op, Operands x, Results y);
void compute(const program::DepthwiseConv& op, Operands x, Results y);
void compute(const program::ConvTranspose& op, Operands x, Results y);
void compute(const program::Pool& op, Operands x, Results y);
void compute(const program::Recurrent& op, Operands x, Results y);
// reference_attention.cpp
void compute(const program::ConvLstm& op, Operands x, Results y);
void compute(const program::Attention& op, Operands x, Results y);

}  // namespace kerf::reference
