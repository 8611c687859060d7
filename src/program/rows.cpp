#include "program/rows.h"

#include <algorithm>
#include <optional>
#include <variant>
#include <vector>

#include "kerf/error.h"

namespace kerf::program {
namespace {

// Two batches whose sizes differ, so that what scales with the batch can be told from what does
// not; neither is 1, which broadcasts.
constexpr std::int64_t kFewer = 2;
constexpr std::int64_t kMore = 5;

using Types = std::vector<ValueType>;

// The types of all values where each feed has so many rows; nothing if they do not fit.
std::optional<Types> types_with(const Program& program, std::span<const Shape> feeds,
                                std::int64_t rows) {
  Types types;
  types.reserve(program.values.size());
  for (const Value& value : program.values) types.push_back(value.type);
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    Shape shape = feeds[i];
    shape[0] = rows;
    types[program.feeds[i]].shape = shape;
  }
  try {
    for (const Instruction& instruction : program.instructions) {
      Types operands;
      for (const ValueId id : instruction.operands) operands.push_back(types[id]);
      const Types results = infer(instruction.op, operands);
      for (std::size_t i = 0; i < results.size(); ++i) types[instruction.results[i]] = results[i];
    }
  } catch (const Error&) {
    return std::nullopt;
  }
  return types;
}

bool scales(const Shape& fewer, const Shape& more) {
  if (fewer.rank() == 0 || fewer.rank() != more.rank()) return false;
  if (fewer[0] % kFewer != 0 || fewer[0] / kFewer * kMore != more[0]) return false;
  return std::ranges::equal(fewer.dims().subspan(1), more.dims().subspan(1));
}

// An operand of an instruction: whether it depends on the feeds, and so has rows, and its shape.
struct Operand {
  bool rows = false;
  const Shape* shape = nullptr;
  std::size_t rank() const noexcept { return shape->rank(); }
};

// Whether an op computes each row of its results from that row of its operands. What remains of
// them is known to scale with the rows, or not to depend on the feeds at all.
struct KeepsRows {
  const std::vector<Operand>& operands;
  const Shape& result;

  const Operand& x() const { return operands[0]; }

  // The first operand has rows, the others are the same for all of them, or of the result's shape.
  bool by_row() const {
    return x().rows && x().rank() >= 2 &&
           std::all_of(operands.begin() + 1, operands.end(), [&](const Operand& operand) {
             return !operand.rows || *operand.shape == result;
           });
  }
  // Broadcasting keeps the rows of whatever has the result's rank on the first axis.
  bool broadcasts() const {
    return std::ranges::all_of(operands, [&](const Operand& operand) {
      return !operand.rows || operand.rank() == result.rank();
    });
  }
  bool not_first(std::int64_t axis) const {
    return (axis < 0 ? axis + static_cast<std::int64_t>(x().rank()) : axis) != 0;
  }

  bool operator()(const Linear&) const { return by_row(); }
  bool operator()(const Conv&) const { return by_row(); }
  bool operator()(const DepthwiseConv&) const { return by_row(); }
  bool operator()(const ConvTranspose&) const { return by_row(); }
  bool operator()(const Affine&) const { return by_row(); }
  bool operator()(const Chain&) const { return by_row(); }
  bool operator()(const Pool&) const { return true; }
  bool operator()(const Unary&) const { return true; }
  bool operator()(const Not&) const { return true; }
  bool operator()(const Cast&) const { return true; }
  bool operator()(const Binary&) const { return broadcasts(); }
  bool operator()(const Select&) const { return broadcasts(); }
  bool operator()(const MatMul& op) const {
    const Operand& b = operands[1];
    if (result.rank() > 2) return broadcasts();
    return x().rows && !b.rows && !op.transpose_a;  // each row times one matrix
  }
  bool operator()(const Reduce& op) const { return op.axes.empty() || op.axes[0] != 0; }
  bool operator()(const Softmax& op) const { return not_first(op.axis); }
  bool operator()(const Sparsemax&) const { return x().rank() > 1; }
  bool operator()(const LayerNorm& op) const { return by_row() && op.axes < x().rank(); }
  bool operator()(const L2Normalize& op) const { return not_first(op.axis); }
  bool operator()(const Gather&) const { return !operands[1].rows; }
  bool operator()(const Transpose& op) const { return op.permutation[0] == 0; }
  // Row-major, and the number of elements of a row stays: each row is where it was.
  bool operator()(const Reshape&) const { return x().rows; }
  bool operator()(const Concat& op) const { return not_first(op.axis); }
  bool operator()(const Slice& op) const { return not_first(op.axis); }
  bool operator()(const Pad& op) const { return op.before[0] == 0 && op.after[0] == 0; }
  bool operator()(const Tile& op) const { return not_first(op.axis); }
  bool operator()(const Resample& op) const { return not_first(op.axis); }
  bool operator()(const ArgReduce& op) const { return not_first(op.axis); }
  bool operator()(const Cumulate& op) const { return not_first(op.axis); }
  bool operator()(const ArgSort&) const { return x().rank() > 1; }
  bool operator()(const TakeAlong&) const { return x().rank() > 1 && x().rows && operands[1].rows; }
  bool operator()(const Recurrent& op) const {
    return x().rows && !operands[1].rows && !operands[2].rows && !(op.bias && operands[3].rows);
  }
  bool operator()(const ConvLstm&) const { return x().rows && !operands[1].rows; }
  bool operator()(const Attention&) const { return x().rows; }
  // Of an op that is not known here nothing is assumed.
  template <typename Other>
  bool operator()(const Other& /*op*/) const {
    return false;
  }
};

}  // namespace

bool rows_are_independent(const Program& program, std::span<const Shape> feeds) {
  for (const Shape& shape : feeds) {
    if (shape.rank() == 0) return false;
  }
  const std::optional<Types> fewer = types_with(program, feeds, kFewer);
  const std::optional<Types> more = types_with(program, feeds, kMore);
  if (!fewer || !more) return false;
  std::vector<bool> rows(program.values.size());
  for (const ValueId id : program.feeds) rows[id] = true;
  for (const Instruction& instruction : program.instructions) {
    std::vector<Operand> operands;
    bool any = false;
    for (const ValueId id : instruction.operands) {
      operands.push_back({.rows = rows[id], .shape = &(*fewer)[id].shape});
      any = any || rows[id];
    }
    for (const ValueId id : instruction.results) {
      const Shape& shape = (*fewer)[id].shape;
      if (!any) {
        if (shape != (*more)[id].shape) return false;
        continue;
      }
      if (!scales(shape, (*more)[id].shape)) return false;
      if (!std::visit(KeepsRows{operands, shape}, instruction.op)) return false;
      rows[id] = true;
    }
  }
  return std::ranges::all_of(program.fetches, [&](ValueId id) { return rows[id]; });
}

}  // namespace kerf::program
