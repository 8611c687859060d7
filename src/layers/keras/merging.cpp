#include <fmt/format.h>

#include <algorithm>

#include "kerf/error.h"
#include "layers/registry.h"

namespace kerf::layers {
namespace {

using program::Binary;
using program::Reshape;

bool since_3_4(const LayerCall& call) {
  return call.layer().keras_major > 3 ||
         (call.layer().keras_major == 3 && call.layer().keras_minor >= 4);
}

// The inputs, of one dtype: where they differ, or the layer divides, all become float32.
std::vector<ValueId> inputs_of(LayerCall& call, std::size_t least, bool keep_integers = true) {
  std::vector<ValueId> inputs;
  for (std::size_t i = 0; i < std::max(call.input_count(), least); ++i) {
    inputs.push_back(call.input(i));
    keep_integers = keep_integers && call.type(inputs[i]).dtype == call.type(inputs[0]).dtype;
  }
  if (!keep_integers) {
    for (ValueId& input : inputs) input = call.to_float(input);
  }
  return inputs;
}

// New axes of size 1 after the batch axis: (n, c) beside (n, t, c) acts as (n, 1, c).
ValueId aligned(LayerCall& call, ValueId x, std::size_t rank) {
  const std::size_t own = call.shape(x).rank();
  if (own == rank || own == 0) return x;
  std::vector<std::int64_t> dims{Reshape::copy(0)};
  dims.insert(dims.end(), rank - own, 1);
  for (std::size_t i = 1; i < own; ++i) dims.push_back(Reshape::copy(i));
  return call.ops().append(Reshape{std::move(dims)}, {x});
}

// A mask of fewer axes than its tensor, as a factor for every element.
ValueId spread(LayerCall& call, ValueId mask, std::size_t rank) {
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < call.shape(mask).rank(); ++i) dims.push_back(Reshape::copy(i));
  dims.resize(rank, 1);
  return call.ops().append(Reshape{std::move(dims)}, {mask});
}

ValueId combined(LayerCall& call, Binary::Kind kind, const std::vector<ValueId>& values) {
  ValueId result = values.front();
  for (std::size_t i = 1; i < values.size(); ++i) {
    result = call.ops().append(Binary{kind}, {result, values[i]});
  }
  return result;
}

// Keras up to 3.3 ANDs the masks there are; later every input needs one, and they are ORed.
std::optional<ValueId> merged_mask(LayerCall& call) {
  std::vector<ValueId> masks;
  bool all = true;
  for (std::size_t i = 0; i < call.input_count(); ++i) all = all && call.has_mask(i);
  if (since_3_4(call) && !all) return std::nullopt;
  for (std::size_t i = 0; i < call.input_count(); ++i) {
    if (call.has_mask(i)) masks.push_back(*call.mask(i));
  }
  if (masks.empty()) return std::nullopt;
  return combined(call, since_3_4(call) ? Binary::Kind::kOr : Binary::Kind::kAnd, masks);
}

ValueId select(LayerCall& call, ValueId condition, ValueId yes, ValueId no) {
  return call.ops().append(program::Select{}, {condition, yes, no});
}

// Since Keras 3.4, what a mask leaves out is 1 to a product, and 0 in it where all leave it out.
ValueId masked_product(LayerCall& call, std::vector<ValueId> inputs,
                       const std::vector<std::optional<ValueId>>& masks) {
  std::vector<ValueId> present;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!masks[i]) continue;
    present.push_back(*masks[i]);
    inputs[i] = select(call, *masks[i], call.to_float(inputs[i]), call.scalar(1));
  }
  const ValueId product = combined(call, Binary::Kind::kMultiply, inputs);
  if (present.size() != inputs.size()) return product;
  return select(call, combined(call, Binary::Kind::kOr, present), product, call.scalar(0));
}

// Since Keras 3.4, what a mask leaves out is no candidate: one input after the other meets the
// result so far, and where one of the two is left out, the other one counts. Where both are, that
// is the result so far.
ValueId masked_extreme(LayerCall& call, Binary::Kind kind, const std::vector<ValueId>& inputs,
                       const std::vector<std::optional<ValueId>>& masks) {
  ValueId result = inputs.front();
  bool masked = masks.front().has_value();
  ValueId result_mask = masks.front().value_or(result);
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    ValueId next = inputs[i];
    if (masks[i]) next = select(call, *masks[i], next, result);
    if (masked) result = select(call, result_mask, result, next);
    result = call.ops().append(Binary{kind}, {result, next});
    masked = masked && masks[i];
    if (masked) {
      result_mask = call.ops().append(Binary{Binary::Kind::kOr}, {result_mask, *masks[i]});
    }
  }
  return result;
}

void lower_merge(LayerCall& call) {
  const std::string& name = call.layer().class_name;
  std::vector<ValueId> inputs = inputs_of(call, 2, name != "Average");
  if (name == "Subtract" && inputs.size() != 2) {
    throw Error(ErrorCode::kInvalidFile, "it needs exactly two inputs", call.config().where());
  }
  std::size_t rank = 0;
  for (const ValueId x : inputs) rank = std::max(rank, call.shape(x).rank());
  const Binary::Kind kind = name == "Subtract"   ? Binary::Kind::kSubtract
                            : name == "Multiply" ? Binary::Kind::kMultiply
                            : name == "Maximum"  ? Binary::Kind::kMaximum
                            : name == "Minimum"  ? Binary::Kind::kMinimum
                                                 : Binary::Kind::kAdd;
  const bool extreme = name == "Maximum" || name == "Minimum";
  std::vector<std::optional<ValueId>> masks(inputs.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    // An input that gets new axes loses its mask.
    if (since_3_4(call) && (extreme || name == "Multiply") && call.has_mask(i) &&
        call.shape(inputs[i]).rank() == rank) {
      masks[i] = spread(call, *call.mask(i), rank);
    }
    inputs[i] = aligned(call, inputs[i], rank);
  }
  ValueId result = extreme              ? masked_extreme(call, kind, inputs, masks)
                   : name == "Multiply" ? masked_product(call, inputs, masks)
                                        : combined(call, kind, inputs);
  if (name == "Average") {
    const ValueId share = call.scalar(1.0F / static_cast<float>(inputs.size()));
    result = call.ops().append(Binary{Binary::Kind::kMultiply}, {result, share});
  }
  call.output(result, merged_mask(call));
}

// A mask of (batch, steps) that holds everywhere, made of an input since only that knows the sizes.
ValueId every_step(LayerCall& call, ValueId x) {
  std::vector<std::int64_t> axes;
  for (std::size_t i = 2; i < call.shape(x).rank(); ++i) {
    axes.push_back(static_cast<std::int64_t>(i));
  }
  using program::Reduce;
  const ValueId some =
      call.ops().append(Reduce{Reduce::Kind::kMax, axes, false}, {call.to_float(x)});
  const ValueId equal = call.ops().append(Binary{Binary::Kind::kEqual}, {some, some});
  return call.ops().append(Binary{Binary::Kind::kOr},
                           {equal, call.ops().append(program::Not{}, {equal})});
}

void lower_concatenate(LayerCall& call) {
  const std::vector<ValueId> inputs = inputs_of(call, 1);
  const std::int64_t axis = call.config().integer("axis", -1);
  const ValueId result = call.ops().append(program::Concat{axis}, inputs);
  bool any = false;
  for (std::size_t i = 0; i < inputs.size(); ++i) any = any || call.has_mask(i);
  if (!any) {
    call.output(result);
    return;
  }
  // Every step counts of an input without a mask.
  std::vector<ValueId> masks;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    masks.push_back(call.has_mask(i) ? *call.mask(i) : every_step(call, inputs[i]));
  }
  // Along the channels the masks of a step combine; along the steps each keeps its own.
  const auto rank = static_cast<std::int64_t>(call.shape(result).rank());
  const std::int64_t positive = axis < 0 ? axis + rank : axis;
  call.output(result,
              positive == rank - 1
                  ? combined(call, since_3_4(call) ? Binary::Kind::kOr : Binary::Kind::kAnd, masks)
                  : call.ops().append(program::Concat{positive}, masks));
}

void lower_dot(LayerCall& call) {
  const Config& config = call.config();
  program::ProgramBuilder& ops = call.ops();
  std::vector<ValueId> inputs = inputs_of(call, 2, false);
  std::vector<std::int64_t> axes = config.integers("axes");
  if (axes.size() == 1) axes.push_back(axes[0]);
  std::vector<ValueId> matrices;
  std::vector<std::vector<std::int64_t>> rests;
  for (std::size_t i = 0; i < 2; ++i) {
    ValueId x = inputs[i];
    const auto rank = static_cast<std::int64_t>(call.shape(x).rank());
    const std::int64_t axis = axes[i] < 0 ? axes[i] + rank : axes[i];
    if (rank < 2 || rank > 3 || axis < 1 || axis >= rank) {
      config.unsupported("axes",
                         fmt::format("the axis {} of an input of {} dimensions", axes[i], rank));
    }
    if (config.boolean("normalize", false)) {
      // Keras 2 bounds the square of the norm by 1e-12.
      const float epsilon = call.layer().keras_major < 3 ? 1e-6F : 1e-7F;
      x = ops.append(program::L2Normalize{.axis = axis, .epsilon = epsilon}, {x});
    }
    // To (batch, rest, contracted).
    if (rank == 2) {
      x = ops.append(Reshape{{Reshape::copy(0), 1, Reshape::copy(1)}}, {x});
    } else if (axis == 1) {
      x = ops.append(program::Transpose{{0, 2, 1}}, {x});
    }
    rests.push_back(rank == 3 ? std::vector<std::int64_t>{1} : std::vector<std::int64_t>{});
    matrices.push_back(x);
  }
  ValueId y = ops.append(program::MatMul{.transpose_a = false, .transpose_b = true}, matrices);
  // Inputs without an axis beside the batch and the contracted one leave none in the result.
  if (rests[0].empty() && !rests[1].empty()) {
    y = ops.append(Reshape{{Reshape::copy(0), Reshape::copy(2)}}, {y});
  } else if (!rests[0].empty() && rests[1].empty()) {
    y = ops.append(Reshape{{Reshape::copy(0), Reshape::copy(1)}}, {y});
  } else if (rests[0].empty()) {
    y = ops.append(Reshape{{Reshape::copy(0), 1}}, {y});
  }
  call.output(y);
}

}  // namespace

void register_merging(Registry& registry);
void register_merging(Registry& registry) {
  for (const char* name : {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"}) {
    registry.add({.class_name = name, .lower = lower_merge});
  }
  registry.add({.class_name = "Concatenate", .lower = lower_concatenate});
  registry.add({.class_name = "Dot",
                .lower = lower_dot,
                .refuses = {{"axes", "that of the batch; inputs of more than 3 dimensions"}}});
}

}  // namespace kerf::layers
