#include <algorithm>
#include <numeric>

#include "program/passes/passes.h"

namespace kerf::program {
namespace {

using Permutation = std::vector<std::int64_t>;

bool is_identity(const Permutation& permutation) {
  for (std::size_t i = 0; i < permutation.size(); ++i) {
    if (permutation[i] != static_cast<std::int64_t>(i)) return false;
  }
  return true;
}

// An operation on transposed operands, done on what they were transposed from instead.
struct Moved {
  Op op;
  Permutation permutation;  // takes its result to that of the original
};

// What `op` becomes when its operands of full rank were transposed by `p`; nothing if the axes
// matter to it.
class Mover {
 public:
  explicit Mover(const Permutation& p) : p_(p) {}

  std::optional<Moved> operator()(const Unary& op) const { return same(op); }
  std::optional<Moved> operator()(const Binary& op) const { return same(op); }
  std::optional<Moved> operator()(const Not& op) const { return same(op); }
  std::optional<Moved> operator()(const Select& op) const { return same(op); }
  std::optional<Moved> operator()(const Cast& op) const { return same(op); }
  std::optional<Moved> operator()(const Concat& op) const { return same(Concat{axis(op.axis)}); }
  std::optional<Moved> operator()(Slice op) const {
    op.axis = axis(op.axis);
    return same(op);
  }
  std::optional<Moved> operator()(Tile op) const {
    op.axis = axis(op.axis);
    return same(op);
  }
  std::optional<Moved> operator()(Resample op) const {
    op.axis = axis(op.axis);
    return same(op);
  }
  std::optional<Moved> operator()(const Pad& op) const {
    Pad moved = op;
    for (std::size_t i = 0; i < p_.size(); ++i) {
      moved.before[static_cast<std::size_t>(p_[i])] = op.before[i];
      moved.after[static_cast<std::size_t>(p_[i])] = op.after[i];
    }
    return same(moved);
  }
  // These work along the last axis, and are best where it is contiguous.
  std::optional<Moved> operator()(const Affine& op) const {
    return keeps_last() ? same(op) : std::nullopt;
  }
  std::optional<Moved> operator()(const Softmax& op) const {
    return keeps_last() && is_last(op.axis) ? same(op) : std::nullopt;
  }
  std::optional<Moved> operator()(const L2Normalize& op) const {
    return keeps_last() && is_last(op.axis) ? same(op) : std::nullopt;
  }
  std::optional<Moved> operator()(const Reduce& op) const {
    Reduce moved = op;
    for (std::int64_t& reduced : moved.axes) reduced = axis(reduced);
    std::ranges::sort(moved.axes);
    if (op.keep_dims) return same(moved);
    // The axes that remain close ranks on both sides.
    Permutation remaining;
    for (std::size_t i = 0; i < p_.size(); ++i) {
      if (std::ranges::find(op.axes, static_cast<std::int64_t>(i)) == op.axes.end()) {
        remaining.push_back(p_[i]);
      }
    }
    Permutation sorted = remaining;
    std::ranges::sort(sorted);
    for (std::int64_t& kept : remaining) {
      kept = std::ranges::lower_bound(sorted, kept) - sorted.begin();
    }
    return Moved{moved, remaining};
  }
  template <typename Other>
  std::optional<Moved> operator()(const Other&) const {
    return std::nullopt;
  }

 private:
  std::optional<Moved> same(Op op) const { return Moved{std::move(op), p_}; }
  std::int64_t axis(std::int64_t of_transposed) const {
    return p_[static_cast<std::size_t>(of_transposed < 0 ? of_transposed + std::ssize(p_)
                                                         : of_transposed)];
  }
  bool keeps_last() const { return p_.back() == std::ssize(p_) - 1; }
  bool is_last(std::int64_t of_transposed) const {
    return of_transposed == -1 || of_transposed == std::ssize(p_) - 1;
  }

  const Permutation& p_;
};

// Walks the program once. A transposition is not done where it stands but remembered: it is done
// when an operation needs it, and moves past those that do not.
class Sinker {
 public:
  explicit Sinker(Program& program) : program_(program), pending_(program.values.size()) {}

  void run() {
    std::vector<Instruction> instructions = std::move(program_.instructions);
    program_.instructions.clear();
    for (Instruction& instruction : instructions) {
      if (const auto* transpose = std::get_if<Transpose>(&instruction.op)) {
        defer(instruction.results.front(), instruction.operands.front(), transpose->permutation,
              instruction.source);
      } else if (!move_past(instruction)) {
        if (auto* product = std::get_if<MatMul>(&instruction.op)) take_swaps(instruction, *product);
        for (ValueId& operand : instruction.operands) operand = materialise(operand);
        program_.instructions.push_back(std::move(instruction));
      }
    }
    for (ValueId& fetch : program_.fetches) fetch = materialise(fetch);
  }

 private:
  // A value known to be a transposition of another.
  struct Pending {
    bool known = false;
    ValueId base = 0;
    Permutation permutation;
    std::uint32_t source = 0;
    bool done = false;  // an instruction that makes the value stands in the program
  };

  void defer(ValueId result, ValueId operand, Permutation permutation, std::uint32_t source) {
    const Pending& inner = pending_[operand];
    ValueId base = operand;
    for (std::int64_t& axis : permutation) {
      if (axis < 0) axis += std::ssize(permutation);
    }
    if (inner.known) {
      base = inner.base;
      for (std::int64_t& axis : permutation) {
        axis = inner.permutation[static_cast<std::size_t>(axis)];
      }
    }
    pending_[result] = {
        .known = true, .base = base, .permutation = std::move(permutation), .source = source};
  }

  ValueId materialise(ValueId id) {
    if (!pending_[id].known) return id;
    Pending& pending = pending_[id];
    if (is_identity(pending.permutation)) return pending.base;
    if (!pending.done) {
      pending.done = true;
      program_.instructions.push_back({.op = Transpose{pending.permutation},
                                       .operands = {pending.base},
                                       .results = {id},
                                       .source = pending.source});
    }
    return id;
  }

  // A product reads a matrix transposed at no cost.
  void take_swaps(Instruction& instruction, MatMul& product) {
    const auto take = [&](ValueId& operand, bool& transposed) {
      const Pending& pending = pending_[operand];
      if (!pending.known || pending.done) return;
      Permutation swapped = pending.permutation;
      std::swap(swapped[swapped.size() - 1], swapped[swapped.size() - 2]);
      if (!is_identity(swapped)) return;
      operand = pending.base;
      transposed = !transposed;
    };
    take(instruction.operands[0], product.transpose_a);
    take(instruction.operands[1], product.transpose_b);
  }

  // True if the instruction was done on what its operands were transposed from.
  bool move_past(const Instruction& instruction) {
    const Permutation* common = nullptr;
    std::vector<ValueId> operands = instruction.operands;
    const bool vectors = std::holds_alternative<Affine>(instruction.op);
    for (std::size_t i = 0; i < operands.size(); ++i) {
      if (vectors && i > 0) break;
      const Pending& pending = pending_[operands[i]];
      if (program_.values[operands[i]].type.shape.rank() == 0) continue;
      // Where the transposed value is there already, it costs nothing to read it.
      if (!pending.known || pending.done) return false;
      if (common != nullptr && *common != pending.permutation) return false;
      common = &pending.permutation;
      operands[i] = pending.base;
    }
    if (common == nullptr) return false;
    std::optional<Moved> moved = std::visit(Mover(*common), instruction.op);
    if (!moved) return false;

    const ValueId original = instruction.results.front();
    ValueId result = original;
    if (!is_identity(moved->permutation)) {
      std::vector<ValueType> types;
      types.reserve(operands.size());
      for (const ValueId operand : operands) types.push_back(program_.values[operand].type);
      program_.values.push_back({.type = infer(moved->op, types).front(), .constant = {}});
      result = static_cast<ValueId>(program_.values.size() - 1);
      pending_.resize(program_.values.size());
      pending_[original] = {.known = true,
                            .base = result,
                            .permutation = std::move(moved->permutation),
                            .source = instruction.source};
    }
    program_.instructions.push_back({.op = std::move(moved->op),
                                     .operands = std::move(operands),
                                     .results = {result},
                                     .source = instruction.source});
    return true;
  }

  Program& program_;
  std::vector<Pending> pending_;  // per value
};

}  // namespace

void sink_transposes(Program& program, ConstantCache&) { Sinker(program).run(); }

}  // namespace kerf::program
