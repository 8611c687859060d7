#include <algorithm>
#include <map>
#include <tuple>

#include "program/passes/analysis.h"

namespace kerf::program {
namespace {

using Names = std::vector<std::int64_t>;

// Gives names to the unknown dimensions of an instruction's first result.
class Namer {
 public:
  std::int64_t fresh() { return next_--; }

  // Unknown dimensions of `shape` that `operator()(op)` does not prove equal to another get names
  // of their own.
  Names name(const Instruction& instruction, const Shape& shape,
             const std::vector<Names>& of_value) {
    operands_.clear();
    for (const ValueId id : instruction.operands) operands_.push_back(&of_value[id]);
    proved_.assign(shape.rank(), 0);
    std::visit(*this, instruction.op);
    Names result(shape.begin(), shape.end());
    for (std::size_t i = 0; i < result.size(); ++i) {
      if (result[i] == Shape::kUnknown) {
        result[i] = i < proved_.size() && proved_[i] < 0 ? proved_[i] : fresh();
      }
    }
    return result;
  }

  void operator()(const Linear&) { copy_leading(x().size() - 1); }
  void operator()(const Conv& op) { slide(op.window); }
  void operator()(const DepthwiseConv& op) { slide(op.window); }
  void operator()(const ConvTranspose&) { copy_leading(1); }
  void operator()(const Pool& op) { slide(op.window); }
  void operator()(const MatMul& op) {
    const Names& b = *operands_[1];
    broadcast(2);
    proved_[proved_.size() - 2] = x()[x().size() - (op.transpose_a ? 1 : 2)];
    proved_[proved_.size() - 1] = b[b.size() - (op.transpose_b ? 2 : 1)];
  }
  void operator()(const Reduce& op) {
    std::size_t at = 0;
    for (std::size_t i = 0; i < x().size(); ++i) {
      if (std::ranges::find(op.axes, static_cast<std::int64_t>(i)) == op.axes.end()) {
        proved_[at++] = x()[i];
      } else if (op.keep_dims) {
        ++at;
      }
    }
  }
  void operator()(const Binary&) { broadcast(); }
  void operator()(const Select&) { broadcast(); }
  void operator()(const Gather&) { copy_leading(x().size()); }
  void operator()(const Transpose& op) {
    for (std::size_t i = 0; i < proved_.size(); ++i) {
      const std::int64_t axis = op.permutation[i];
      proved_[i] = x()[static_cast<std::size_t>(axis < 0 ? axis + std::ssize(x()) : axis)];
    }
  }
  void operator()(const Reshape& op) {
    for (std::size_t i = 0; i < op.dims.size(); ++i) {
      if (const auto axis = Reshape::copied(op.dims[i])) proved_[i] = x()[*axis];
      if (const auto axis = Reshape::lent(op.dims[i])) proved_[i] = (*operands_[1])[*axis];
    }
  }
  void operator()(const Concat& op) { copy_all_but(op.axis); }
  void operator()(const Slice& op) { copy_all_but(op.axis); }
  void operator()(const Tile& op) { copy_all_but(op.axis); }
  void operator()(const Resample& op) { copy_all_but(op.axis); }
  void operator()(const Pad& op) {
    for (std::size_t i = 0; i < proved_.size(); ++i) {
      if (op.before[i] == 0 && op.after[i] == 0) proved_[i] = x()[i];
    }
  }
  void operator()(const ArgReduce& op) {
    const auto dropped =
        static_cast<std::size_t>(op.axis < 0 ? op.axis + std::ssize(x()) : op.axis);
    for (std::size_t i = 0; i < proved_.size(); ++i) proved_[i] = x()[i < dropped ? i : i + 1];
  }
  void operator()(const TakeAlong&) {
    copy_all_but(-1);
    proved_.back() = operands_[1]->back();
  }
  void operator()(const Recurrent& op) { copy_leading(op.sequences ? 2 : 1); }
  void operator()(const ConvLstm& op) {
    const std::size_t steps = op.sequences ? 0 : 1;
    proved_[0] = x()[0];
    for (std::size_t i = 1; i < proved_.size(); ++i) proved_[i] = x()[i + steps];
  }
  void operator()(const Attention&) { copy_leading(2); }
  // Everything else keeps the shape of its operand.
  template <typename Other>
  void operator()(const Other&) {
    copy_leading(x().size());
  }

 private:
  const Names& x() const { return *operands_.front(); }

  void copy_leading(std::size_t count) {
    std::copy_n(x().begin(), std::min(count, proved_.size()), proved_.begin());
  }
  void copy_all_but(std::int64_t axis) {
    const auto except = static_cast<std::size_t>(axis < 0 ? axis + std::ssize(x()) : axis);
    copy_leading(x().size());
    proved_[except] = 0;
  }
  // A dimension that all operands of that axis share, ones aside.
  void broadcast(std::size_t all_but_last = 0) {
    for (std::size_t i = 0; i + all_but_last < proved_.size(); ++i) {
      std::int64_t common = 1;
      for (const Names* names : operands_) {
        const std::size_t missing = proved_.size() - names->size();
        const std::int64_t dim = i < missing ? 1 : (*names)[i - missing];
        if (dim == 1 || dim == common) continue;
        common = common == 1 ? dim : 0;
      }
      proved_[i] = common;
    }
  }
  // Equal windows over equal dimensions give equal ones.
  void slide(const Window& window) {
    proved_[0] = x()[0];
    for (std::size_t i = 0; i < window.rank; ++i) {
      const std::int64_t size = x()[i + 1];
      if (size >= 0) continue;
      const bool keeps = window.strides[i] == 1 &&
                         (window.padding == Padding::kSame || window.padding == Padding::kCausal ||
                          (window.padding == Padding::kValid && window.size[i] == 1));
      if (keeps) {
        proved_[i + 1] = size;
        continue;
      }
      const auto [entry, added] =
          slid_.try_emplace(std::tuple(size, window.size[i], window.strides[i], window.dilation[i],
                                       window.padding, window.before[i], window.after[i]),
                            0);
      if (added) entry->second = fresh();
      proved_[i + 1] = entry->second;
    }
  }

  std::vector<const Names*> operands_;
  Names proved_;
  std::int64_t next_ = -2;
  std::map<std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t, Padding, std::int64_t,
                      std::int64_t>,
           std::int64_t>
      slid_;
};

}  // namespace

Dimensions::Dimensions(const Program& program) : names_(program.values.size()) {
  Namer namer;
  const std::int64_t batch = namer.fresh();
  for (ValueId id = 0; id < program.values.size(); ++id) {
    const Shape& shape = program.values[id].type.shape;
    names_[id].assign(shape.begin(), shape.end());
  }
  for (const ValueId feed : program.feeds) {
    for (std::size_t i = 0; i < names_[feed].size(); ++i) {
      if (names_[feed][i] == Shape::kUnknown) names_[feed][i] = i == 0 ? batch : namer.fresh();
    }
  }
  for (const Instruction& instruction : program.instructions) {
    for (std::size_t i = 0; i < instruction.results.size(); ++i) {
      const ValueId result = instruction.results[i];
      if (i == 0) {
        names_[result] = namer.name(instruction, program.values[result].type.shape, names_);
        continue;
      }
      // The states of a recurrence, one row per sequence; nothing is proved of other dimensions.
      for (std::size_t d = 0; d < names_[result].size(); ++d) {
        std::int64_t& dim = names_[result][d];
        if (dim != Shape::kUnknown) continue;
        dim = d == 0 ? names_[instruction.operands.front()].front() : namer.fresh();
      }
    }
  }
}

bool Dimensions::same_shape(ValueId a, ValueId b) const { return names_[a] == names_[b]; }

}  // namespace kerf::program
