#include "layers/categories.h"

#include <fmt/format.h>

#include <numeric>
#include <vector>

namespace kerf::layers {

using program::Binary;
using program::Reshape;

ValueId with_last_axis(LayerCall& call, ValueId x) {
  std::vector<std::int64_t> dims;
  for (std::size_t i = 0; i < call.shape(x).rank(); ++i) dims.push_back(Reshape::copy(i));
  dims.push_back(1);
  return call.ops().append(Reshape{std::move(dims)}, {x});
}

namespace {

// 0, 1, ... count - 1.
Tensor zero_upwards(std::span<const Tensor>, double count) {
  std::vector<float> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0.0F);
  return Tensor::floats({std::ssize(numbers)}, numbers);
}

}  // namespace

ValueId encode_categories(LayerCall& call, ValueId ids, const std::string& mode, std::int64_t depth,
                          std::string_view depth_key) {
  program::ProgramBuilder& ops = call.ops();
  // Each id is compared with every class.
  constexpr std::int64_t kMostClasses = 1 << 24;
  if (depth > kMostClasses) call.config().unsupported(depth_key, "is too large");
  const auto weights = call.keyword_tensors("count_weights");
  if (!weights.empty() && mode != "count") {
    call.config().invalid("output_mode", "has weights, but does not count");
  }
  if (mode == "one_hot" && call.shape(ids).rank() > 1 && call.shape(ids).back() == 1) {
    std::vector<std::int64_t> dims;
    for (std::size_t i = 0; i + 1 < call.shape(ids).rank(); ++i) dims.push_back(Reshape::copy(i));
    ids = ops.append(Reshape{std::move(dims)}, {ids});
  }
  // Below this limit floats tell all classes apart, and no id outside of them looks like one.
  const ValueId all =
      call.derived("classes", {}, {depth}, zero_upwards, static_cast<double>(depth));
  const std::int64_t axis = call.shape(ids).rank() > 1 ? 1 : 0;
  const ValueId equal =
      ops.append(Binary{Binary::Kind::kEqual}, {with_last_axis(call, call.to_float(ids)), all});
  using Reduce = program::Reduce;
  if (mode == "multi_hot" || mode == "binary") {
    return call.to_float(ops.append(Reduce{Reduce::Kind::kAny, {axis}, false}, {equal}));
  }
  ValueId hot = call.to_float(equal);
  if (mode == "one_hot") return hot;
  if (mode != "count") {
    call.config().invalid("output_mode", fmt::format("'{}' is not one kerf knows", mode));
  }
  if (!weights.empty()) {
    hot = ops.append(Binary{Binary::Kind::kMultiply},
                     {hot, with_last_axis(call, call.to_float(weights.front()))});
  }
  return ops.append(Reduce{Reduce::Kind::kSum, {axis}, false}, {hot});
}

}  // namespace kerf::layers
