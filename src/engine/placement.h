#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "program/program.h"

namespace kerf::engine {

// Where a value lies: in memory of its own, or in that of another value, its root.
struct Placement {
  program::ValueId root = 0;  // itself, or one that is its own root
  std::size_t offset = 0;     // bytes, in the root's memory
  // Elements from each row of the last axis to the next, where they are apart; else 0. Only results
  // of operations that can write so, and that nothing reads but through the root.
  std::size_t stride = 0;
};

struct Placements {
  std::vector<Placement> values;  // by value
  std::vector<bool> elided;       // by instruction: there is nothing left to do
};

// Elides copies, for values of these concrete types. A reshaped value, and a slice that is one
// piece of memory, lie in their operand's memory. What is concatenated is computed in the memory of
// the result, where it is one piece of it, or where rows may be written apart; except feeds,
// constants and fetches, and what is concatenated twice, which are copied. Changes no result.
Placements place_values(const program::Program& program, std::span<const program::ValueType> types);

// Whether the operation can write the rows of its result apart (KernelSpec::result_stride).
bool writes_rows_apart(const program::Op& op) noexcept;

// The values that lie in others where all that only a request knows is 1, one a line.
std::string describe_placements(const program::Program& program);

}  // namespace kerf::engine
