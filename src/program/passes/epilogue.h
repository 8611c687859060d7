#pragma once

#include "program/op.h"

namespace kerf::program {

// The epilogue of an op that has one, else nullptr.
inline Epilogue* epilogue_of(Op& op) noexcept {
  if (auto* linear = std::get_if<Linear>(&op)) return &linear->epilogue;
  if (auto* conv = std::get_if<Conv>(&op)) return &conv->epilogue;
  if (auto* depthwise = std::get_if<DepthwiseConv>(&op)) return &depthwise->epilogue;
  return nullptr;
}
inline const Epilogue* epilogue_of(const Op& op) noexcept {
  return epilogue_of(const_cast<Op&>(op));
}

}  // namespace kerf::program
