#include <algorithm>

#include "engine/kernel.h"
#include "engine/kernels/activate.h"
#include "engine/kernels/clamp.h"
#include "engine/kernels/depthwise_span.h"
#include "engine/kernels/tile.h"
#include "engine/kernels/window_rows.h"
#include "engine/parallel.h"
#include "kerf/error.h"

namespace kerf::engine {
namespace {

constexpr double kBytesPerSecond = 6e10;
constexpr std::size_t kFirstLevelBytes = 24 << 10;
constexpr std::size_t kSecondLevelBytes = 256 << 10;

// Direct, vectorised over the channels. With a multiplier, on a copy of the input that repeats each
// channel.
class DepthwiseConvKernel final : public Kernel {
 public:
  DepthwiseConvKernel(const program::DepthwiseConv& op, const KernelSpec& spec)
      : epilogue_(op.epilogue),
        clamp_(as_clamp(op.epilogue.activation)),
        geometry_(op.window, spec.operands[0].shape, spec.results[0].shape),
        channels_(static_cast<std::size_t>(spec.results[0].shape.back())),
        inputs_(static_cast<std::size_t>(spec.operands[0].shape.element_count())),
        multiplier_(
            inputs_ == 0 ? 1 : channels_ / static_cast<std::size_t>(spec.operands[0].shape.back())),
        functions_(&depthwise_functions()),
        activate_(activate_block_function()) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      for (std::size_t o = 0; o < geometry_.output[axis]; ++o) {
        ranges_[axis].push_back(range(axis, o));
      }
    }
    // Some channels of the input rows under a window stay in a first-level cache, all channels of
    // the rows of a band in a second-level one.
    const std::size_t lanes = tile_set().lanes;
    const std::size_t row_bytes = std::max<std::size_t>(geometry_.size[2] * sizeof(float), 1);
    const std::size_t fitting = kFirstLevelBytes / (row_bytes * geometry_.kernel[1]);
    chunk_ = std::max<std::size_t>(fitting / lanes, 1) * lanes;
    band_ = std::max<std::size_t>(
        kSecondLevelBytes / (row_bytes * std::max<std::size_t>(channels_, 1)), 1);
    const bool plain = geometry_.kernel[0] == 1 && geometry_.dilation[2] == 1;
    const auto stride = static_cast<std::size_t>(geometry_.stride[2]);
    for (std::size_t rows = 0; rows <= geometry_.kernel[1]; ++rows) {
      whole_.push_back(plain ? functions_->known(rows, geometry_.kernel[2], stride)
                             : functions_->any);
      edge_.push_back(plain ? functions_->known(rows, geometry_.kernel[2] - 1, 1)
                            : functions_->any);
    }
    const std::size_t taps = geometry_.kernel[0] * geometry_.kernel[1] * geometry_.kernel[2];
    const auto outputs = static_cast<double>(geometry_.outputs() * channels_);
    seconds_ = 5e-8 + 4 * outputs * static_cast<double>(taps) / tile_set().flops_per_second +
               4 * (outputs + static_cast<double>(inputs_ * multiplier_)) / kBytesPerSecond;
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    if (multiplier_ != 1) {
      auto* repeated = reinterpret_cast<float*>(run.scratch);
      repeat(x, repeated, run.pool);
      x = repeated;
    }
    std::size_t next = 2;
    DepthwiseSpan span;
    span.cell = channels_;
    span.output_step = static_cast<std::size_t>(geometry_.stride[2]) * channels_;
    span.bias = epilogue_.bias ? static_cast<const float*>(run.operands[next++]) : nullptr;
    span.residual = epilogue_.residual ? static_cast<const float*>(run.operands[next]) : nullptr;
    span.clamp = clamp_.has_value();
    if (clamp_) {
      span.low = clamp_->low;
      span.high = clamp_->high;
    }
    std::size_t cell = channels_;
    std::size_t tap = channels_;
    for (std::size_t axis = 3; axis-- > 0;) {
      span.x_step[axis] = static_cast<std::size_t>(geometry_.dilation[axis]) * cell;
      span.weight_step[axis] = tap;
      cell *= geometry_.size[axis];
      tap *= geometry_.kernel[axis];
    }
    const auto* weights = static_cast<const float*>(run.operands[1]);
    auto* y = static_cast<float*>(run.results[0]);
    const std::size_t lines = geometry_.batch * geometry_.output[0] * geometry_.output[1];
    parallel_ranges(run.pool, lines, seconds_, [&](std::size_t begin, std::size_t end) {
      for (std::size_t band = begin; band < end; band += band_) {
        run_band(span, x, weights, y, band, std::min(band + band_, end));
      }
    });
    return true;
  }

  std::size_t scratch_bytes() const noexcept override {
    return multiplier_ == 1 ? 0 : inputs_ * multiplier_ * sizeof(float);
  }
  bool may_overwrite(std::size_t operand) const noexcept override {
    return epilogue_.residual && operand == 2U + (epilogue_.bias ? 1 : 0);
  }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  // The taps of an output on one axis that are not padding, and the first one's input cell.
  struct Range {
    std::size_t tap = 0;
    std::size_t count = 0;
    std::size_t cell = 0;
    bool whole = false;
  };

  Range range(std::size_t axis, std::size_t o) const {
    Range range;
    for (std::size_t tap = 0; tap < geometry_.kernel[axis]; ++tap) {
      const std::int64_t cell = geometry_.cell(axis, o, tap);
      if (cell < 0) continue;
      if (range.count++ == 0) {
        range.tap = tap;
        range.cell = static_cast<std::size_t>(cell);
      }
    }
    range.whole = range.count == geometry_.kernel[axis];
    return range;
  }

  void repeat(const float* x, float* to, ThreadPool* pool) const noexcept {
    const double seconds = 4 * static_cast<double>(inputs_ * multiplier_) / kBytesPerSecond;
    parallel_ranges(pool, inputs_, seconds, [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i)
        std::fill_n(to + i * multiplier_, multiplier_, x[i]);
    });
  }

  // Lines of outputs along the innermost axis, some channels after the other.
  void run_band(DepthwiseSpan& span, const float* x, const float* weights, float* y,
                std::size_t begin, std::size_t end) const noexcept {
    const std::size_t line_floats = geometry_.output[2] * channels_;
    for (std::size_t first = 0; first < channels_; first += chunk_) {
      DepthwiseSpan chunk = span;
      chunk.channels = std::min(chunk_, channels_ - first);
      if (span.bias != nullptr) chunk.bias = span.bias + first;
      if (span.residual != nullptr) chunk.residual = span.residual + first;
      for (std::size_t line = begin; line < end; ++line) {
        run_line(chunk, x + first, weights + first, y + first, line);
      }
    }
    if (!clamp_ && !epilogue_.activation.identity()) {
      activate_(epilogue_.activation, y + begin * line_floats, 1, (end - begin) * line_floats, 0);
    }
  }

  // All outputs of a line together, but those near padding one by one.
  void run_line(DepthwiseSpan span, const float* x, const float* weights, float* y,
                std::size_t line) const noexcept {
    const std::size_t o1 = line % geometry_.output[1];
    const std::size_t o0 = line / geometry_.output[1] % geometry_.output[0];
    const std::size_t sample = line / geometry_.output[1] / geometry_.output[0];
    const Range& r0 = ranges_[0][o0];
    const Range& r1 = ranges_[1][o1];
    const std::size_t row = (sample * geometry_.size[0] + r0.cell) * geometry_.size[1] + r1.cell;
    const std::size_t width = geometry_.output[2];
    const float* residual = span.residual;
    for (std::size_t o = 0; o < width; o += span.outputs) {
      const Range& r2 = ranges_[2][o];
      span.outputs = 1;
      while (r2.whole && o + span.outputs < width && ranges_[2][o + span.outputs].whole) {
        ++span.outputs;
      }
      span.taps = {r0.count, r1.count, r2.count};
      span.x = x + (row * geometry_.size[2] + r2.cell) * channels_;
      span.weights = weights + r0.tap * span.weight_step[0] + r1.tap * span.weight_step[1] +
                     r2.tap * span.weight_step[2];
      const std::size_t at = (line * width + o) * channels_;
      span.y = y + at;
      span.residual = residual != nullptr ? residual + at : nullptr;
      const bool edge = r2.count + 1 == geometry_.kernel[2];
      const DepthwiseFunction function = r2.whole ? whole_[r1.count]
                                         : edge   ? edge_[r1.count]
                                                  : functions_->any;
      function(span);
    }
  }

  program::Epilogue epilogue_;
  std::optional<Clamp> clamp_;
  WindowGeometry geometry_;
  std::size_t channels_;  // of the result
  std::size_t inputs_;    // floats
  std::size_t multiplier_;
  std::array<std::vector<Range>, 3> ranges_;
  const DepthwiseFunctions* functions_;
  // By the number of window rows that are not padding, where all taps, or all but one, on the
  // innermost axis are not.
  std::vector<DepthwiseFunction> whole_;
  std::vector<DepthwiseFunction> edge_;
  std::size_t chunk_ = 1;  // channels
  std::size_t band_ = 1;   // lines
  ActivateBlockFunction activate_;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::DepthwiseConv& op, const KernelSpec& spec) {
  if (op.epilogue.scale) throw Error(ErrorCode::kUnsupported, "a scale");
  return std::make_unique<DepthwiseConvKernel>(op, spec);
}

}  // namespace kerf::engine
