#include <new>

#include "engine/plan.h"

namespace kerf::engine {

void Workspace::Free::operator()(void* pointer) const noexcept {
  ::operator delete (pointer, std::align_val_t{Plan::kAlignment});
}

void* Workspace::reserve(std::size_t bytes) {
  if (bytes > capacity_ || memory_ == nullptr) {
    memory_.reset();
    capacity_ = 0;
    memory_.reset(::operator new (bytes, std::align_val_t{Plan::kAlignment}));
    capacity_ = bytes;
  }
  return memory_.get();
}

}  // namespace kerf::engine
