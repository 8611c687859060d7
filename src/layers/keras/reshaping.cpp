#include <fmt/format.h>

#include "layers/image_axes.h"
#include "layers/registry.h"

// Layers that move elements without computing: Flatten, Reshape, Permute, RepeatVector, padding
// and cropping.
namespace kerf::layers {
namespace {

using program::Reshape;

void lower_flatten(LayerCall& call) {
  ValueId x = call.input();
  if (call.config().channels_first() && call.shape(x).rank() > 2) x = to_channels_last(call, x);
  call.output(call.ops().append(Reshape{{Reshape::copy(0), Reshape::kInfer}}, {x}));
}

void lower_reshape(LayerCall& call) {
  std::vector<std::int64_t> dims{Reshape::copy(0)};
  for (const std::int64_t dim : call.config().integers("target_shape")) {
    if (dim < -1) call.config().invalid("target_shape", fmt::format("has the entry {}", dim));
    dims.push_back(dim);
  }
  call.output(call.ops().append(Reshape{std::move(dims)}, {call.input()}));
}

void lower_permute(LayerCall& call) {
  std::vector<std::int64_t> permutation{0};
  for (const std::int64_t axis : call.config().integers("dims")) {
    if (axis < 1) call.config().invalid("dims", fmt::format("names the axis {}", axis));
    permutation.push_back(axis);
  }
  call.output(call.ops().append(program::Transpose{std::move(permutation)}, {call.input()}));
}

void lower_repeat_vector(LayerCall& call) {
  const ValueId row =
      call.ops().append(Reshape{{Reshape::copy(0), 1, Reshape::copy(1)}}, {call.input()});
  call.output(call.ops().append(program::Tile{.axis = 1, .times = call.config().size("n")}, {row}));
}

// [[before, after], ...] per spatial axis, from an int, a list of ints, or a list of pairs.
std::vector<std::pair<std::int64_t, std::int64_t>> borders(const Config& config,
                                                           std::string_view key, std::size_t rank,
                                                           std::int64_t fallback) {
  std::vector<std::pair<std::int64_t, std::int64_t>> result(rank, {fallback, fallback});
  const boost::json::value* value = config.find(key);
  if (value == nullptr) return result;
  const auto number = [&](const boost::json::value& entry) {
    if (!entry.is_int64() || entry.get_int64() < 0) config.invalid(key, "is not a size");
    return entry.get_int64();
  };
  if (!value->is_array()) {
    result.assign(rank, {number(*value), number(*value)});
    return result;
  }
  const boost::json::array& array = value->get_array();
  if (rank == 1 && array.size() == 2) {
    result[0] = {number(array[0]), number(array[1])};
    return result;
  }
  if (array.size() != rank) config.invalid(key, fmt::format("has {} entries", array.size()));
  for (std::size_t i = 0; i < rank; ++i) {
    if (!array[i].is_array()) {
      result[i] = {number(array[i]), number(array[i])};
    } else if (array[i].get_array().size() == 2) {
      result[i] = {number(array[i].get_array()[0]), number(array[i].get_array()[1])};
    } else {
      config.invalid(key, "has an entry that is not a pair");
    }
  }
  return result;
}

void lower_zero_padding(LayerCall& call) {
  const bool first = call.config().channels_first();
  const std::size_t rank = call.shape(call.input()).rank();
  if (rank < 3) call.config().invalid("padding", "needs an input with spatial axes");
  program::Pad pad{.before = std::vector<std::int64_t>(rank, 0),
                   .after = std::vector<std::int64_t>(rank, 0)};
  const auto sizes = borders(call.config(), "padding", rank - 2, 1);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    pad.before[i + (first ? 2 : 1)] = sizes[i].first;
    pad.after[i + (first ? 2 : 1)] = sizes[i].second;
  }
  call.output(call.ops().append(std::move(pad), {call.input()}));
}

void lower_cropping(LayerCall& call) {
  const bool first = call.config().channels_first();
  const std::size_t rank = call.shape(call.input()).rank();
  if (rank < 3) call.config().invalid("cropping", "needs an input with spatial axes");
  ValueId x = call.input();
  const auto sizes = borders(call.config(), "cropping", rank - 2, rank == 4 ? 0 : 1);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i].first == 0 && sizes[i].second == 0) continue;
    program::Slice slice{
        .axis = static_cast<std::int64_t>(i) + (first ? 2 : 1), .begin = sizes[i].first, .end = {}};
    if (sizes[i].second != 0) slice.end = -sizes[i].second;
    x = call.ops().append(slice, {x});
  }
  call.output(x);
}

}  // namespace

void register_reshaping(Registry& registry);
void register_reshaping(Registry& registry) {
  registry.add({.class_name = "Flatten", .lower = lower_flatten});
  registry.add({.class_name = "Reshape", .lower = lower_reshape});
  registry.add({.class_name = "Permute", .lower = lower_permute});
  registry.add({.class_name = "RepeatVector", .lower = lower_repeat_vector});
  for (const char* name : {"ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D"}) {
    registry.add({.class_name = name, .lower = lower_zero_padding});
  }
  for (const char* name : {"Cropping1D", "Cropping2D", "Cropping3D"}) {
    registry.add({.class_name = name, .lower = lower_cropping});
  }
}

}  // namespace kerf::layers
