#include <algorithm>
#include <numeric>
#include <optional>

#include "program/passes/analysis.h"
#include "program/passes/passes.h"

namespace kerf::program {
namespace {

// True if `op` gives back its operand of shape `x` whatever its unknown dimensions are.
struct ChangesNothing {
  const ValueType& x;

  bool operator()(const Unary& op) const { return op.activation.identity(); }
  bool operator()(const Cast& op) const { return op.to == x.dtype; }
  bool operator()(const Tile& op) const { return op.times == 1; }
  bool operator()(const Pad& op) const {
    const auto zero = [](std::int64_t cells) { return cells == 0; };
    return std::ranges::all_of(op.before, zero) && std::ranges::all_of(op.after, zero);
  }
  bool operator()(const Slice& op) const {
    const std::int64_t size = x.shape[static_cast<std::size_t>(
        op.axis < 0 ? op.axis + static_cast<std::int64_t>(x.shape.rank()) : op.axis)];
    return op.step == 1 && op.begin.value_or(0) == 0 &&
           (!op.end || (size != Shape::kUnknown && *op.end >= size));
  }
  bool operator()(const Reshape& op) const {
    if (op.dims.size() != x.shape.rank()) return false;
    for (std::size_t i = 0; i < op.dims.size(); ++i) {
      // What is left open is what it was, if nothing else changed and nothing is empty.
      if (op.dims[i] == Reshape::kInfer || op.dims[i] == Reshape::copy(i)) continue;
      if (op.dims[i] <= 0 || op.dims[i] != x.shape[i]) return false;
    }
    return true;
  }
  template <typename Other>
  bool operator()(const Other&) const {
    return false;
  }
};

// The operand that a Binary gives back, where the other is the constant that changes nothing.
std::optional<ValueId> kept_operand(const Program& program, const Instruction& instruction) {
  const auto* binary = std::get_if<Binary>(&instruction.op);
  if (binary == nullptr) return std::nullopt;
  const auto keeps = [&](std::size_t kept, float neutral) {
    const ValueId x = instruction.operands[kept];
    const ValueId other = instruction.operands[1 - kept];
    return scalar_constant(program, other) == neutral &&
           program.values[other].type.shape.rank() <= program.values[x].type.shape.rank();
  };
  using Kind = Binary::Kind;
  const bool sum = binary->kind == Kind::kAdd || binary->kind == Kind::kSubtract;
  const bool product = binary->kind == Kind::kMultiply || binary->kind == Kind::kDivide;
  if (!sum && !product) return std::nullopt;
  const float neutral = sum ? 0.0F : 1.0F;
  if (keeps(0, neutral)) return instruction.operands[0];
  const bool commutes = binary->kind == Kind::kAdd || binary->kind == Kind::kMultiply;
  if (commutes && keeps(1, neutral)) return instruction.operands[1];
  return std::nullopt;
}

// `outer` after `inner` as one reshape; nothing where it would leave two dimensions open.
std::optional<Reshape> composed(const Reshape& inner, const Reshape& outer, const Shape& between) {
  Reshape result;
  for (const std::int64_t dim : outer.dims) {
    std::int64_t made = dim;
    if (const auto axis = Reshape::copied(dim)) {
      made = inner.dims[*axis];
      if (made == Reshape::kInfer && between[*axis] != Shape::kUnknown) made = between[*axis];
    }
    result.dims.push_back(made);
  }
  if (std::ranges::count(result.dims, Reshape::kInfer) > 1) return std::nullopt;
  return result;
}

}  // namespace

void simplify(Program& program, ConstantCache&) {
  std::vector<ValueId> kept(program.values.size());  // what stands for each value now
  std::iota(kept.begin(), kept.end(), 0);
  const std::vector<std::uint32_t> producers = find_producers(program);
  for (Instruction& instruction : program.instructions) {
    for (ValueId& operand : instruction.operands) operand = kept[operand];
    const ValueId x = instruction.operands.front();
    auto* reshape = std::get_if<Reshape>(&instruction.op);
    if (reshape != nullptr && producers[x] != kNoInstruction) {
      const Instruction& before = program.instructions[producers[x]];
      const auto* inner = std::get_if<Reshape>(&before.op);
      if (inner != nullptr && instruction.operands.size() + before.operands.size() <= 3) {
        if (auto both = composed(*inner, *reshape, program.values[x].type.shape)) {
          // At most one of the two has a second operand.
          *reshape = *std::move(both);
          instruction.operands.front() = before.operands.front();
          if (before.operands.size() > 1) instruction.operands.push_back(before.operands[1]);
          instruction.operands.resize(operand_count(*reshape));
        }
      }
    }
    const ValueId operand = instruction.operands.front();
    const bool alone =
        std::holds_alternative<Concat>(instruction.op) && instruction.operands.size() == 1;
    if (alone || std::visit(ChangesNothing{program.values[operand].type}, instruction.op)) {
      kept[instruction.results.front()] = operand;
    } else if (const auto other = kept_operand(program, instruction)) {
      kept[instruction.results.front()] = *other;
    }
  }
  for (ValueId& fetch : program.fetches) fetch = kept[fetch];
  // What was passed by is dead, and goes now: a use of it would hide that its operand has only one.
  for (Instruction& instruction : program.instructions) {
    if (kept[instruction.results.front()] != instruction.results.front()) {
      instruction.results.clear();
    }
  }
  drop_emptied(program);
}

}  // namespace kerf::program
