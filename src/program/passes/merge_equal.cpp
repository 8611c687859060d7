#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_map>

#include "program/passes/passes.h"

namespace kerf::program {
namespace {

// Constants this small are compared by their bytes, larger ones by their identity.
constexpr std::size_t kSmallConstant = 64;

bool equal_constants(const Constant& a, const Constant& b) {
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return false;
  if (a.identity() == b.identity()) return true;
  return a.byte_size() == b.byte_size() && a.byte_size() <= kSmallConstant &&
         std::memcmp(a.elements().data(), b.elements().data(), a.byte_size()) == 0;
}

std::size_t hash(const Constant& constant) {
  if (constant.byte_size() > kSmallConstant) {
    return std::hash<const void*>{}(constant.identity());
  }
  const Tensor elements = constant.elements();
  const auto* bytes = reinterpret_cast<const char*>(elements.data());
  return std::hash<std::string_view>{}({bytes, constant.byte_size()});
}

std::size_t hash(const Instruction& instruction) {
  std::size_t result = std::hash<std::string>{}(describe(instruction.op));
  for (const ValueId operand : instruction.operands) result = result * 1099511628211U + operand;
  return result;
}

}  // namespace

void merge_equal(Program& program, ConstantCache&) {
  std::vector<ValueId> kept(program.values.size());  // what stands for each value now
  std::iota(kept.begin(), kept.end(), 0);
  std::unordered_multimap<std::size_t, ValueId> constants;  // by hash
  for (ValueId id = 0; id < program.values.size(); ++id) {
    if (!program.is_constant(id)) continue;
    const Constant& constant = program.values[id].constant;
    const auto [begin, end] = constants.equal_range(hash(constant));
    for (auto it = begin; it != end && kept[id] == id; ++it) {
      if (equal_constants(program.values[it->second].constant, constant)) kept[id] = it->second;
    }
    if (kept[id] == id) constants.emplace(hash(constant), id);
  }

  std::unordered_multimap<std::size_t, std::size_t> seen;  // instructions by hash
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    Instruction& instruction = program.instructions[i];
    for (ValueId& operand : instruction.operands) operand = kept[operand];
    const std::size_t key = hash(instruction);
    const auto [begin, end] = seen.equal_range(key);
    for (auto it = begin; it != end; ++it) {
      const Instruction& earlier = program.instructions[it->second];
      if (earlier.op == instruction.op && earlier.operands == instruction.operands) {
        for (std::size_t r = 0; r < earlier.results.size(); ++r) {
          kept[instruction.results[r]] = earlier.results[r];
        }
        break;
      }
    }
    if (kept[instruction.results.front()] == instruction.results.front()) seen.emplace(key, i);
  }
  for (ValueId& fetch : program.fetches) fetch = kept[fetch];
}

}  // namespace kerf::program
