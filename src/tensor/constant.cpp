#include "tensor/constant.h"

#include <mutex>
#include <utility>

namespace kerf {

struct Constant::State {
  std::mutex mutex;
  Tensor elements;  // empty once given up
  Tensor packed;
  Unpack unpack;
  std::weak_ptr<const void> unpacked;  // what was unpacked last, while somebody uses it
};

Constant::Constant(Tensor elements)
    : dtype_(elements.dtype()), shape_(elements.shape()), bytes_(elements.byte_size()) {
  if (elements.empty()) return;
  state_ = std::make_shared<State>();
  state_->elements = std::move(elements);
}

Tensor Constant::elements() const {
  const std::lock_guard lock(state_->mutex);
  if (!state_->elements.empty()) return state_->elements;
  if (std::shared_ptr<const void> memory = state_->unpacked.lock()) {
    return {dtype_, shape_, std::move(memory), bytes_};
  }
  Tensor unpacked = state_->unpack(state_->packed);
  state_->unpacked = unpacked.storage();
  return unpacked;
}

void Constant::hold_packed(Tensor packed, Unpack unpack) const {
  Tensor given_up;  // freed without the lock
  const std::lock_guard lock(state_->mutex);
  if (state_->elements.empty()) return;
  state_->unpacked = state_->elements.storage();
  std::swap(given_up, state_->elements);
  state_->packed = std::move(packed);
  state_->unpack = std::move(unpack);
}

std::size_t Constant::held_bytes() const {
  if (empty()) return 0;
  const std::lock_guard lock(state_->mutex);
  return state_->elements.byte_size();
}

}  // namespace kerf
