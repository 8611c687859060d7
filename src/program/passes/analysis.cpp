#include "program/passes/analysis.h"

#include <algorithm>

namespace kerf::program {

std::vector<std::uint32_t> count_uses(const Program& program) {
  std::vector<std::uint32_t> uses(program.values.size());
  for (const Instruction& instruction : program.instructions) {
    for (const ValueId operand : instruction.operands) ++uses[operand];
  }
  for (const ValueId fetch : program.fetches) ++uses[fetch];
  return uses;
}

std::vector<std::uint32_t> find_producers(const Program& program) {
  std::vector<std::uint32_t> producers(program.values.size(), kNoInstruction);
  for (std::uint32_t i = 0; i < program.instructions.size(); ++i) {
    for (const ValueId result : program.instructions[i].results) producers[result] = i;
  }
  return producers;
}

ValueId add_constant(Program& program, Constant value) {
  const ValueType type{value.dtype(), value.shape()};
  program.values.push_back({.type = type, .constant = std::move(value)});
  return static_cast<ValueId>(program.values.size() - 1);
}

std::optional<float> scalar_constant(const Program& program, ValueId id) {
  const Constant& constant = program.values[id].constant;
  if (constant.empty() || constant.dtype() != DType::kFloat32 ||
      constant.byte_size() != sizeof(float)) {
    return std::nullopt;
  }
  return constant.elements().as<float>()[0];
}

void drop_emptied(Program& program) {
  std::erase_if(program.instructions,
                [](const Instruction& instruction) { return instruction.results.empty(); });
}

}  // namespace kerf::program
