#include <fmt/format.h>

#include <limits>
#include <numeric>
#include <vector>

#include "layers/operation.h"

// Reductions of the rows that bear one id: each row meets each segment, and counts where it
// belongs.
namespace kerf::layers {
namespace {

using program::Binary;
using program::Reduce;
using program::Reshape;

void lower_segments(Operation& op) {
  const ValueId data = op.tensor("data");
  const ValueId ids = op.cast(DType::kInt32, op.tensor("segment_ids"));
  if (op.rank(ids) != 1 || op.rank(data) == 0) {
    op.invalid("segment_ids", fmt::format("has the shape {}", op.shape(ids).to_string()));
  }
  if (op.rank(data) == Shape::kMaxRank) op.unsupported("data", "has too many dimensions");
  if (!op.has("num_segments")) {
    op.unsupported("num_segments", "is not given, so that the size of the result is not known");
  }
  const std::int64_t count = op.arguments().size("num_segments");
  constexpr std::int64_t kMost = 1 << 16;
  if (count > kMost) op.unsupported("num_segments", fmt::format("{} are too many", count));
  std::vector<std::int32_t> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  const ValueId segments =
      op.ops().constant(Tensor::of<std::int32_t>(DType::kInt32, {1, count}, numbers));
  const ValueId belongs =
      op.binary(Binary::Kind::kEqual, op.reshape({Reshape::copy(0), 1}, ids), segments);
  const std::string& name = op.class_name();
  if (name == "SegmentSum" && op.dtype(data) == DType::kFloat32 && op.rank(data) == 2) {
    op.output(op.ops().append(program::MatMul{.transpose_a = true}, {op.to_float(belongs), data}));
    return;
  }
  // (rows, segments, ...)
  std::vector<std::int64_t> dims{Reshape::copy(0), Reshape::copy(1)};
  dims.resize(op.rank(data) + 1, 1);
  const ValueId chosen = op.reshape(std::move(dims), belongs);
  const DType dtype = op.dtype(data);
  Reduce::Kind kind = Reduce::Kind::kSum;
  double neutral = 0;
  const bool whole = is_integer(dtype);
  if (name == "SegmentProd") {
    kind = Reduce::Kind::kProduct;
    neutral = 1;
  } else if (name == "SegmentMax" || name == "SegmentMin") {
    const bool maximum = name == "SegmentMax";
    kind = maximum ? Reduce::Kind::kMax : Reduce::Kind::kMin;
    neutral = std::numeric_limits<double>::infinity() * (maximum ? -1 : 1);
    if (whole) {
      if (dtype != DType::kInt32) op.unsupported("data", "extremes of 64-bit integers");
      neutral = maximum ? std::numeric_limits<std::int32_t>::min()
                        : std::numeric_limits<std::int32_t>::max();
    }
  }
  if (dtype == DType::kBool) op.unsupported("data", "is of bools");
  const ValueId terms = op.select(chosen, op.with_axis(data, 1), op.number(neutral, dtype));
  op.output(op.reduce(kind, {0}, false, terms));
}

}  // namespace

void register_segments(Registry& registry);
void register_segments(Registry& registry) {
  add_operations(registry, {"SegmentSum", "SegmentMax", "SegmentMin", "SegmentProd"},
                 {"data", "segment_ids"}, {"num_segments", "sorted"}, lower_segments);
}

}  // namespace kerf::layers
