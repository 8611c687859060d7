#pragma once

#include <functional>
#include <memory>

#include "kerf/tensor.h"

namespace kerf {

// A tensor that never changes, held in the form in which it is used: as its elements or, once a
// kernel has packed them, as what they were packed into. Copies share one form, and are told from
// other constants by identity(). Any thread may use any Constant.
class Constant {
 public:
  Constant() noexcept = default;
  Constant(Tensor elements);  // NOLINT(google-explicit-constructor): one is as good as the other

  bool empty() const noexcept { return state_ == nullptr; }
  DType dtype() const noexcept { return dtype_; }
  const Shape& shape() const noexcept { return shape_; }
  std::size_t byte_size() const noexcept { return bytes_; }  // of the elements
  // The same for copies, and for nothing else as long as one of them lives.
  const void* identity() const noexcept { return state_.get(); }

  // The elements: those that are held, or new ones unpacked from what is held in their place, which
  // whoever asks meanwhile shares. Precondition: !empty().
  Tensor elements() const;
  // Gives the elements up: they are unpack(packed) from now on, and their memory is returned when
  // nobody else holds it. Nothing happens where they have been given up before.
  using Unpack = std::function<Tensor(const Tensor& packed)>;
  void hold_packed(Tensor packed, Unpack unpack) const;
  // Bytes of the elements where they are held; 0 where they were given up.
  std::size_t held_bytes() const;

 private:
  struct State;
  DType dtype_ = DType::kFloat32;
  Shape shape_;
  std::size_t bytes_ = 0;
  std::shared_ptr<State> state_;
};

}  // namespace kerf
