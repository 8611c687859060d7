#include <algorithm>

#include "program/passes/analysis.h"
#include "program/passes/passes.h"

namespace kerf::program {
namespace {

// True if the function gives no negative number.
bool never_negative(const Activation& activation) {
  switch (activation.function) {
    case Function::kRelu:
      return activation.a == 0 && activation.b >= 0 && activation.c >= 0;
    case Function::kSigmoid:
    case Function::kSoftplus:
    case Function::kAbs:
    case Function::kSquare:
      return true;
    default:
      return false;
  }
}

// `window` over the padded tensor as a window over the tensor; nothing if it cannot be one.
std::optional<Window> padded(Window window, const Pad& pad) {
  const std::size_t channels = window.rank + 1;
  const bool spatial = pad.value == 0 && pad.before.size() == window.rank + 2 &&
                       pad.before[0] == 0 && pad.after[0] == 0 && pad.before[channels] == 0 &&
                       pad.after[channels] == 0;
  if (!spatial || window.padding == Padding::kSame || window.padding == Padding::kCausal) {
    return std::nullopt;
  }
  window.padding = Padding::kExplicit;
  for (std::size_t axis = 0; axis < window.rank; ++axis) {
    window.before[axis] += pad.before[axis + 1];
    window.after[axis] += pad.after[axis + 1];
  }
  return window;
}

// A maximum leaves padding out. That is the maximum with zeros if nothing is negative and no window
// lies in the padding alone.
bool maximum_is_the_same(const Window& window) {
  for (std::size_t axis = 0; axis < window.rank; ++axis) {
    if (window.dilation[axis] != 1 || window.before[axis] >= window.size[axis] ||
        window.after[axis] >= window.size[axis]) {
      return false;
    }
  }
  return true;
}

}  // namespace

void fold_padding(Program& program, ConstantCache&) {
  const std::vector<std::uint32_t> producers = find_producers(program);
  for (Instruction& instruction : program.instructions) {
    Window* window = nullptr;
    const auto* pool = std::get_if<Pool>(&instruction.op);
    if (auto* conv = std::get_if<Conv>(&instruction.op)) window = &conv->window;
    if (auto* depthwise = std::get_if<DepthwiseConv>(&instruction.op)) window = &depthwise->window;
    if (pool != nullptr && pool->kind == Pool::Kind::kMax) {
      window = &std::get<Pool>(instruction.op).window;
    }
    if (window == nullptr || producers[instruction.operands[0]] == kNoInstruction) continue;
    const Instruction& before = program.instructions[producers[instruction.operands[0]]];
    const auto* pad = std::get_if<Pad>(&before.op);
    if (pad == nullptr) continue;
    const std::optional<Window> wider = padded(*window, *pad);
    if (!wider) continue;
    if (pool != nullptr) {
      const std::uint32_t producer = producers[before.operands[0]];
      const auto* unary = producer == kNoInstruction
                              ? nullptr
                              : std::get_if<Unary>(&program.instructions[producer].op);
      if (unary == nullptr || !never_negative(unary->activation) || !maximum_is_the_same(*wider)) {
        continue;
      }
    }
    *window = *wider;
    instruction.operands[0] = before.operands[0];
  }
}

}  // namespace kerf::program
