#pragma once

#include <optional>

#include "program/op.h"

namespace kerf::engine {

// The limits of an activation that only limits its argument.
struct Clamp {
  float low = 0;
  float high = 0;
};

inline std::optional<Clamp> as_clamp(const program::Activation& f) noexcept {
  using program::Function;
  if (f.function == Function::kRelu && f.a == 0 && f.c == 0) return Clamp{0, f.b};
  if (f.function == Function::kHardTanh) return Clamp{-1, 1};
  return std::nullopt;
}

}  // namespace kerf::engine
