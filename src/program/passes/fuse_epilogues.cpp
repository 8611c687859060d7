#include "program/passes/analysis.h"
#include "program/passes/epilogue.h"
#include "program/passes/passes.h"

namespace kerf::program {
namespace {

class Fuser {
 public:
  explicit Fuser(Program& program)
      : program_(program),
        uses_(count_uses(program)),
        producers_(find_producers(program)),
        dimensions_(program) {}

  void run() {
    for (std::uint32_t i = 0; i < program_.instructions.size(); ++i) {
      Instruction& instruction = program_.instructions[i];
      if (const auto* unary = std::get_if<Unary>(&instruction.op)) {
        if (open(instruction.operands[0])) take_activation(i, unary->activation);
      } else if (const auto* binary = std::get_if<Binary>(&instruction.op)) {
        if (binary->kind == Binary::Kind::kAdd) take_residual(i);
      }
    }
    drop_emptied(program_);
  }

 private:
  // True if the value comes from an op with an epilogue that has applied no function yet, and
  // nothing else reads it.
  bool open(ValueId id) const {
    if (producers_[id] == kNoInstruction || uses_[id] != 1) return false;
    const Epilogue* epilogue = epilogue_of(program_.instructions[producers_[id]].op);
    return epilogue != nullptr && epilogue->activation.identity();
  }

  void take_activation(std::uint32_t i, const Activation activation) {
    const ValueId x = program_.instructions[i].operands[0];
    take_over(i, x);
    epilogue_of(program_.instructions[i].op)->activation = activation;
  }

  // The sum is made by the product that is computed last, when the other summand is there.
  void take_residual(std::uint32_t i) {
    const std::vector<ValueId> summands = program_.instructions[i].operands;
    std::optional<std::size_t> chosen;
    for (std::size_t s = 0; s < 2; ++s) {
      const ValueId product = summands[s];
      if (!open(product) || !dimensions_.same_shape(product, summands[1 - s])) continue;
      if (epilogue_of(program_.instructions[producers_[product]].op)->residual) continue;
      if (!chosen || producers_[product] > producers_[summands[*chosen]]) chosen = s;
    }
    if (!chosen) return;
    take_over(i, summands[*chosen]);
    Instruction& fused = program_.instructions[i];
    Epilogue& epilogue = *epilogue_of(fused.op);
    epilogue.residual = true;
    fused.operands.insert(fused.operands.end() - (epilogue.scale ? 1 : 0), summands[1 - *chosen]);
  }

  // Instruction i becomes the one that makes `x`, which goes; it keeps its result and its place,
  // where everything it reads has been computed.
  void take_over(std::uint32_t i, ValueId x) {
    Instruction& producer = program_.instructions[producers_[x]];
    Instruction& fused = program_.instructions[i];
    fused.op = std::move(producer.op);
    fused.operands = std::move(producer.operands);
    fused.source = producer.source;
    producer.results.clear();
  }

  Program& program_;
  std::vector<std::uint32_t> uses_;
  std::vector<std::uint32_t> producers_;
  Dimensions dimensions_;
};

}  // namespace

void fuse_epilogues(Program& program, ConstantCache&) { Fuser(program).run(); }

}  // namespace kerf::program
