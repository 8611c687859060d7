#pragma once

#include "program/op.h"

namespace kerf::program {

// The epilogue of an op that has one, else nullptr. Const where the op is.
template <typename AnyOp>
auto epilogue_of(AnyOp& op) noexcept -> decltype(&std::get_if<Linear>(&op)->epilogue) {
  if (auto* linear = std::get_if<Linear>(&op)) return &linear->epilogue;
  if (auto* conv = std::get_if<Conv>(&op)) return &conv->epilogue;
  if (auto* depthwise = std::get_if<DepthwiseConv>(&op)) return &depthwise->epilogue;
  if (auto* transposed = std::get_if<ConvTranspose>(&op)) return &transposed->epilogue;
  return nullptr;
}

}  // namespace kerf::program
