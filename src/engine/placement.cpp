#include "engine/placement.h"

#include <fmt/format.h>

#include <utility>
#include <variant>

#include "engine/kernels/axes.h"
#include "kerf/error.h"

namespace kerf::engine {
namespace {

using program::Instruction;
using program::Program;
using program::ValueId;
using program::ValueType;

std::size_t bytes_of(const ValueType& type) { return element_count(type) * element_size(type); }

class Placer {
 public:
  Placer(const Program& program, std::span<const ValueType> types)
      : program_(program),
        types_(types),
        parents_(types.size()),
        made_(types.size()),
        writes_apart_(types.size()),
        fetched_(types.size()),
        uses_(types.size()) {
    result_.values.resize(types.size());
    result_.elided.resize(program.instructions.size());
  }

  Placements place() {
    for (ValueId id = 0; id < parents_.size(); ++id) parents_[id].root = id;
    find_views();
    for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
      if (const auto* concat = std::get_if<program::Concat>(&program_.instructions[i].op)) {
        result_.elided[i] = place_operands(*concat, program_.instructions[i]);
      }
    }
    for (ValueId id = 0; id < parents_.size(); ++id) result_.values[id] = resolved(id);
    return std::move(result_);
  }

 private:
  void find_views() {
    for (std::size_t i = 0; i < program_.instructions.size(); ++i) {
      const Instruction& instruction = program_.instructions[i];
      for (const ValueId id : instruction.results) {
        made_[id] = true;
        writes_apart_[id] = writes_rows_apart(instruction.op);
      }
      for (const ValueId id : instruction.operands) ++uses_[id];
      const ValueId result = instruction.results[0];
      if (std::holds_alternative<program::Reshape>(instruction.op)) {
        parents_[result] = {.root = instruction.operands[0]};
      } else if (const auto* slice = std::get_if<program::Slice>(&instruction.op)) {
        const ValueType& from = types_[instruction.operands[0]];
        const AxisSplit split = split_at(from.shape, slice->axis);
        const auto taken = program::slice_axis(*slice, static_cast<std::int64_t>(split.size));
        if (bytes_of(types_[result]) == 0 || split.outer != 1 || slice->step != 1) continue;
        parents_[result] = {
            .root = instruction.operands[0],
            .offset = static_cast<std::size_t>(taken.begin) * split.inner * element_size(from)};
      } else {
        continue;
      }
      result_.elided[i] = true;
    }
    for (const ValueId id : program_.fetches) {
      fetched_[resolved(id).root] = true;
      ++uses_[id];
    }
  }

  // Whether all operands are computed in the result.
  bool place_operands(const program::Concat& op, const Instruction& instruction) {
    const ValueId result = instruction.results[0];
    const AxisSplit whole = split_at(types_[result].shape, op.axis);
    std::size_t offset = 0;
    bool all = true;
    for (const ValueId id : instruction.operands) {
      const AxisSplit part = split_at(types_[id].shape, op.axis);
      const std::size_t block = part.size * part.inner * element_size(types_[id]);
      if (block != 0 && whole.outer != 0) all = place_operand(id, result, whole, offset) && all;
      offset += block;
    }
    return all;
  }

  bool place_operand(ValueId id, ValueId result, const AxisSplit& whole, std::size_t offset) {
    const Placement at = resolved(id);
    if (!made_[at.root] || fetched_[at.root] || at.offset != 0 ||
        bytes_of(types_[id]) != bytes_of(types_[at.root]) || resolved(result).root == at.root) {
      return false;
    }
    if (whole.outer == 1) {
      parents_[at.root] = {.root = result, .offset = offset};
      return true;
    }
    if (whole.inner != 1 || at.root != id || uses_[id] != 1 || !writes_apart_[id]) return false;
    parents_[id] = {.root = result, .offset = offset, .stride = whole.size};
    return true;
  }

  Placement resolved(ValueId id) const {
    Placement at{.root = id};
    while (parents_[at.root].root != at.root) {
      const Placement& step = parents_[at.root];
      at.root = step.root;
      at.offset += step.offset;
      if (step.stride != 0) at.stride = step.stride;
    }
    return at;
  }

  const Program& program_;
  std::span<const ValueType> types_;
  std::vector<Placement> parents_;  // one step towards the root
  std::vector<bool> made_;          // by an instruction
  std::vector<bool> writes_apart_;
  std::vector<bool> fetched_;  // by root
  std::vector<std::size_t> uses_;
  Placements result_;
};

}  // namespace

Placements place_values(const Program& program, std::span<const ValueType> types) {
  return Placer(program, types).place();
}

bool writes_rows_apart(const program::Op& op) noexcept {
  if (const auto* linear = std::get_if<program::Linear>(&op)) return !linear->epilogue.residual;
  const auto* conv = std::get_if<program::Conv>(&op);
  return conv != nullptr && conv->groups == 1 && !conv->epilogue.residual;
}

std::string describe_placements(const Program& program) {
  std::vector<ValueType> types;
  for (const program::Value& value : program.values) types.push_back(value.type);
  for (const ValueId feed : program.feeds) {
    Shape& shape = types[feed].shape;
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] == Shape::kUnknown) shape[axis] = 1;
    }
  }
  try {
    for (const Instruction& instruction : program.instructions) {
      std::vector<ValueType> operands;
      for (const ValueId id : instruction.operands) operands.push_back(types[id]);
      const std::vector<ValueType> results = program::infer(instruction.op, operands);
      for (std::size_t i = 0; i < results.size(); ++i) types[instruction.results[i]] = results[i];
    }
  } catch (const Error&) {  // it cannot take such shapes
    return {};
  }
  const Placements placements = place_values(program, types);
  std::string text;
  for (const Instruction& instruction : program.instructions) {
    for (const ValueId id : instruction.results) {
      const Placement& at = placements.values[id];
      if (at.root == id) continue;
      text += fmt::format("of one sample, %{} lies in %{}", id, at.root);
      if (at.offset != 0) text += fmt::format(" from byte {}", at.offset);
      if (at.stride != 0) text += fmt::format(", its rows {} elements apart", at.stride);
      text += '\n';
    }
  }
  return text;
}

}  // namespace kerf::engine
