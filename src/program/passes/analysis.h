#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "program/program.h"

// What the passes ask about a program. The answers hold until the program changes.
namespace kerf::program {

inline constexpr std::uint32_t kNoInstruction = 0xffffffffU;

// Per value: how many operands and fetches name it.
std::vector<std::uint32_t> count_uses(const Program& program);

// Per value: the index of the instruction that makes it, or kNoInstruction.
std::vector<std::uint32_t> find_producers(const Program& program);

// Adds a constant.
ValueId add_constant(Program& program, Constant value);

// The value of a float32 constant of one element.
std::optional<float> scalar_constant(const Program& program, ValueId id);

// Removes the instructions that a pass has emptied of results.
void drop_emptied(Program& program);

// Names for the dimensions that are known only per request, so that shapes can be proved equal: two
// dimensions with one name are equal in every run. The batch, the first dimension of every feed, is
// one dimension.
class Dimensions {
 public:
  explicit Dimensions(const Program& program);
  bool same_shape(ValueId a, ValueId b) const;

 private:
  // Per value and axis: the dimension itself where known, else a negative name.
  std::vector<std::vector<std::int64_t>> names_;
};

}  // namespace kerf::program
