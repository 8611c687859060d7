#include "program/op.h"

#include <algorithm>
#include <array>

namespace kerf::program {

std::string_view op_name(const Op& op) noexcept {
  static constexpr std::array<std::string_view, std::variant_size_v<Op>> kNames{
      "Linear",    "MatMul",     "Conv",      "DepthwiseConv", "ConvTranspose", "Pool",
      "Reduce",    "Unary",      "Binary",    "Not",           "Select",        "Affine",
      "Chain",     "Softmax",    "Sparsemax", "LayerNorm",     "L2Normalize",   "Gather",
      "Transpose", "Reshape",    "Concat",    "Slice",         "Pad",           "Tile",
      "Resample",  "Cast",       "Recurrent", "ConvLstm",      "Attention",     "ArgReduce",
      "Cumulate",  "ArgSort",    "TakeAlong", "Lookup",        "Hash",          "CrossHash",
      "TokenIds",  "TokenCounts"};
  return kNames[op.index()];
}

WindowAxis window_axis(const Window& window, std::size_t axis, std::int64_t size) {
  const std::int64_t stride = window.strides[axis];
  const std::int64_t extent = (window.size[axis] - 1) * window.dilation[axis] + 1;
  switch (window.padding) {
    case Padding::kSame: {
      const std::int64_t output = (size + stride - 1) / stride;
      const std::int64_t total = std::max<std::int64_t>((output - 1) * stride + extent - size, 0);
      return {.output = output, .before = total / 2};
    }
    case Padding::kCausal: {
      const std::int64_t padded = size + extent - 1;
      return {.output = padded < extent ? 0 : (padded - extent) / stride + 1, .before = extent - 1};
    }
    case Padding::kExplicit: {
      const std::int64_t padded = size + window.before[axis] + window.after[axis];
      return {.output = padded < extent ? 0 : (padded - extent) / stride + 1,
              .before = window.before[axis]};
    }
    case Padding::kValid:
      break;
  }
  return {.output = size < extent ? 0 : (size - extent) / stride + 1, .before = 0};
}

SliceAxis slice_axis(const Slice& op, std::int64_t size) {
  // Backwards the axis starts at its last element, and ends before its first.
  const bool forwards = op.step > 0;
  const auto place = [&](const std::optional<std::int64_t>& bound, std::int64_t absent) {
    if (!bound) return absent;
    const std::int64_t i = *bound < 0 ? *bound + size : *bound;
    return forwards ? std::clamp<std::int64_t>(i, 0, size)
                    : std::clamp<std::int64_t>(i, -1, size - 1);
  };
  const std::int64_t begin = place(op.begin, forwards ? 0 : size - 1);
  const std::int64_t end = place(op.end, forwards ? size : -1);
  const std::int64_t span = forwards ? end - begin : begin - end;
  const std::int64_t stride = forwards ? op.step : -op.step;
  return {.begin = begin, .count = span <= 0 ? 0 : (span - 1) / stride + 1};
}

}  // namespace kerf::program
