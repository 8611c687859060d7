#include <optional>

#include "program/passes/analysis.h"
#include "program/passes/passes.h"

namespace kerf::program {
namespace {

// An instruction seen as one step of a chain over `x`.
struct Link {
  ValueId x = 0;
  Chain::Step step;
  std::vector<ValueId> operands;  // the step's own
};

class Chainer {
 public:
  explicit Chainer(Program& program)
      : program_(program),
        uses_(count_uses(program)),
        producers_(find_producers(program)),
        dimensions_(program) {}

  void run() {
    for (std::uint32_t i = 0; i < program_.instructions.size(); ++i) {
      std::optional<Link> link = extending_link(i);
      if (!link) continue;
      // The chain before this instruction, or the one that its instruction starts.
      Instruction& before = program_.instructions[producers_[link->x]];
      Chain chain;
      std::vector<ValueId> operands;
      if (auto* started = std::get_if<Chain>(&before.op)) {
        chain = std::move(*started);
        operands = std::move(before.operands);
      } else {
        const Link first = *link_over(before, first_operand(before));
        chain.steps.push_back(first.step);
        operands = {first.x};
        operands.insert(operands.end(), first.operands.begin(), first.operands.end());
      }
      before.results.clear();
      chain.steps.push_back(link->step);
      operands.insert(operands.end(), link->operands.begin(), link->operands.end());
      Instruction& instruction = program_.instructions[i];
      instruction.op = std::move(chain);
      instruction.operands = std::move(operands);
    }
    drop_emptied(program_);
  }

 private:
  // Instruction i as the continuation of the instruction that makes one of its operands; of two
  // candidates the later one, so that the other has been computed.
  std::optional<Link> extending_link(std::uint32_t i) {
    const Instruction& instruction = program_.instructions[i];
    const bool binary = std::holds_alternative<Binary>(instruction.op);
    std::optional<Link> best;
    for (std::size_t position = 0; position < (binary ? 2U : 1U); ++position) {
      const ValueId x = instruction.operands[position];
      if (producers_[x] == kNoInstruction || uses_[x] != 1) continue;
      const Instruction& before = program_.instructions[producers_[x]];
      const bool chained = std::holds_alternative<Chain>(before.op) ||
                           link_over(before, first_operand(before)).has_value();
      if (!chained || (best && producers_[best->x] > producers_[x])) continue;
      if (auto link = link_over(instruction, position)) best = std::move(link);
    }
    return best;
  }

  // Which operand a chain that starts with this instruction would run over.
  std::size_t first_operand(const Instruction& instruction) {
    return std::holds_alternative<Binary>(instruction.op) && !link_over(instruction, 0) ? 1 : 0;
  }

  // The instruction as a step over its operand at `position`; nothing if it is not one.
  std::optional<Link> link_over(const Instruction& instruction, std::size_t position) {
    Link link{.x = instruction.operands[position], .step = {}, .operands = {}};
    const ValueType& type = program_.values[link.x].type;
    if (type.dtype != DType::kFloat32 || type.shape.rank() == 0) return std::nullopt;
    if (const auto* unary = std::get_if<Unary>(&instruction.op)) {
      link.step.kind = Chain::Step::Kind::kUnary;
      link.step.activation = unary->activation;
      return link;
    }
    if (std::holds_alternative<Affine>(instruction.op)) {
      link.step.kind = Chain::Step::Kind::kAffine;
      link.operands = {instruction.operands[1], instruction.operands[2]};
      return link;
    }
    const auto* binary = std::get_if<Binary>(&instruction.op);
    if (binary == nullptr || binary->kind >= Binary::Kind::kEqual) return std::nullopt;
    const auto other = step_operand(instruction.operands[1 - position], link.x);
    if (!other) return std::nullopt;
    link.step.kind = Chain::Step::Kind::kBinary;
    link.step.binary = binary->kind;
    link.step.swapped = position == 1;
    link.operands = {*other};
    return link;
  }

  // The value in a form that a step over `x` takes: of x's shape, a scalar, or a vector over the
  // last axis.
  std::optional<ValueId> step_operand(ValueId id, ValueId x) {
    const Shape& shape = program_.values[id].type.shape;
    const Shape& of_x = program_.values[x].type.shape;
    if (shape.rank() == 0 || dimensions_.same_shape(id, x)) return id;
    if (shape.rank() > of_x.rank() || !shape.is_static()) return std::nullopt;
    const std::int64_t elements = shape.element_count();
    const bool vector = elements == shape.back() && elements == of_x.back();
    if (vector && shape.rank() == 1) return id;
    if (!program_.is_constant(id) || (!vector && elements != 1)) return std::nullopt;
    const auto [entry, added] = reshaped_.try_emplace(id, id);
    if (added) {
      const Shape plain = vector ? Shape{elements} : Shape{};
      entry->second =
          add_constant(program_, program_.values[id].constant.elements().reshaped(plain));
    }
    return entry->second;
  }

  Program& program_;
  std::vector<std::uint32_t> uses_;
  std::vector<std::uint32_t> producers_;
  Dimensions dimensions_;
  std::unordered_map<ValueId, ValueId> reshaped_;
};

}  // namespace

void fuse_chains(Program& program, ConstantCache&) { Chainer(program).run(); }

}  // namespace kerf::program
