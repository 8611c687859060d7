#include <algorithm>

#include "program/passes/passes.h"

namespace kerf::program {

void remove_dead_code(Program& program, ConstantCache&) {
  std::vector<bool> needed(program.values.size());
  for (const ValueId fetch : program.fetches) needed[fetch] = true;
  for (auto it = program.instructions.rbegin(); it != program.instructions.rend(); ++it) {
    const bool read = std::ranges::any_of(it->results, [&](ValueId id) { return needed[id]; });
    if (!read) {
      it->results.clear();
      continue;
    }
    for (const ValueId operand : it->operands) needed[operand] = true;
    for (const ValueId result : it->results) needed[result] = true;
  }
  std::erase_if(program.instructions,
                [](const Instruction& instruction) { return instruction.results.empty(); });
  for (const ValueId feed : program.feeds) needed[feed] = true;

  std::vector<ValueId> renumbered(program.values.size());
  ValueId next = 0;
  for (ValueId id = 0; id < program.values.size(); ++id) {
    if (!needed[id]) continue;
    renumbered[id] = next;
    if (next != id) program.values[next] = std::move(program.values[id]);
    ++next;
  }
  program.values.resize(next);
  const auto renumber = [&](std::vector<ValueId>& ids) {
    for (ValueId& id : ids) id = renumbered[id];
  };
  renumber(program.feeds);
  renumber(program.fetches);
  for (Instruction& instruction : program.instructions) {
    renumber(instruction.operands);
    renumber(instruction.results);
  }
}

}  // namespace kerf::program
