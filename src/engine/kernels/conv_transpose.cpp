#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/product.h"
#include "engine/kernels/window_rows.h"
#include "kerf/error.h"

namespace kerf::engine {
namespace {

// The outputs of one axis whose index has the same remainder by the stride: an ordinary convolution
// of stride one with the taps of the kernel that reach them, from the last to the first.
struct PhaseAxis {
  std::size_t first = 0;           // output
  std::size_t outputs = 0;         // every `stride` after it
  std::vector<std::int64_t> taps;  // of the kernel; empty if none reaches these outputs
  std::int64_t dilation = 1;       // cells between them
  std::int64_t before = 0;         // cells of padding
};

std::vector<PhaseAxis> phases_of(const program::ConvTranspose& op, std::size_t axis,
                                 std::int64_t outputs) {
  const std::int64_t stride = op.window.strides[axis];
  const std::int64_t dilation = op.window.dilation[axis];
  std::vector<PhaseAxis> phases;
  for (std::int64_t first = 0; first < std::min(stride, outputs); ++first) {
    PhaseAxis phase;
    phase.first = static_cast<std::size_t>(first);
    phase.outputs = static_cast<std::size_t>((outputs - first + stride - 1) / stride);
    const std::int64_t full = first + op.crop[axis];  // index into the uncropped sums
    // Tap t adds cell i to output i * stride + t * dilation: it reads that many cells back.
    std::int64_t back = 0;
    for (std::int64_t t = op.window.size[axis] - 1; t >= 0; --t) {
      if ((full - t * dilation) % stride != 0) continue;
      const std::int64_t cells = (t * dilation - full) / stride;
      if (phase.taps.empty()) phase.before = cells;
      if (phase.taps.size() == 1) phase.dilation = back - cells;
      phase.taps.push_back(t);
      back = cells;
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

// One convolution for each combination of the axes' phases, each writing every stride-th cell.
class ConvTransposeKernel final : public Kernel {
 public:
  ConvTransposeKernel(const program::ConvTranspose& op, const KernelSpec& spec)
      : epilogue_(op.epilogue) {
    if (spec.constants[1].empty()) {
      throw Error(ErrorCode::kUnsupported, "a kernel that is not constant");
    }
    const Shape& x = spec.operands[0].shape;
    const Shape& y = spec.results[0].shape;
    std::array<std::vector<PhaseAxis>, 3> phases;
    WindowGeometry whole;
    whole.batch = static_cast<std::size_t>(x[0]);
    std::array<std::size_t, 3> strides{1, 1, 1};
    for (std::size_t axis = 0; axis < 3; ++axis) {
      const std::size_t missing = 3 - op.window.rank;
      if (axis < missing) {
        phases[axis] = {{.first = 0, .outputs = 1, .taps = {0}}};
        continue;
      }
      const std::size_t i = axis - missing;
      whole.size[axis] = static_cast<std::size_t>(x[i + 1]);
      whole.output[axis] = static_cast<std::size_t>(y[i + 1]);
      strides[axis] = static_cast<std::size_t>(op.window.strides[i]);
      phases[axis] = phases_of(op, i, y[i + 1]);
    }
    columns_ = static_cast<std::size_t>(y.back());
    stride_ = strides[2] * columns_;
    for (const PhaseAxis& a : phases[0]) {
      for (const PhaseAxis& b : phases[1]) {
        for (const PhaseAxis& c : phases[2]) add_phase({&a, &b, &c}, whole, strides, op, spec);
      }
    }
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    std::size_t next = 2;
    const float* bias = epilogue_.bias ? static_cast<const float*>(run.operands[next++]) : nullptr;
    const float* residual =
        epilogue_.residual ? static_cast<const float*>(run.operands[next]) : nullptr;
    auto* edges = reinterpret_cast<float*>(run.scratch);
    for (const Phase& phase : phases_) {
      phase.rows.prepare(x, edges, run.pool);
      phase.product.run(WindowRows::Source{phase.rows, x, edges}, phase.weights.as<float>().data(),
                        {.y = static_cast<float*>(run.results[0]),
                         .stride = stride_,
                         .bias = bias,
                         .residual = residual,
                         .lines = phase.lines.data(),
                         .line_rows = phase.line_rows},
                        run.scratch + edge_bytes_, run.pool);
    }
    return true;
  }

  bool reads(std::size_t operand) const noexcept override { return operand != 1; }
  std::size_t scratch_bytes() const noexcept override { return edge_bytes_ + product_bytes_; }
  bool may_overwrite(std::size_t operand) const noexcept override {
    return epilogue_.residual && operand == 2U + (epilogue_.bias ? 1 : 0);
  }
  std::string_view method() const noexcept override { return phases_.front().product.method(); }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  struct Phase {
    WindowRows rows;
    Product product;
    Tensor weights;
    std::vector<std::size_t> lines;
    std::size_t line_rows = 0;
  };

  void add_phase(const std::array<const PhaseAxis*, 3>& axes, const WindowGeometry& whole,
                 const std::array<std::size_t, 3>& strides, const program::ConvTranspose& op,
                 const KernelSpec& spec) {
    WindowGeometry geometry = whole;
    bool empty = false;
    for (std::size_t axis = 0; axis < 3; ++axis) empty = empty || axes[axis]->taps.empty();
    for (std::size_t axis = 0; axis < 3; ++axis) {
      geometry.output[axis] = axes[axis]->outputs;
      geometry.kernel[axis] = empty ? 1 : axes[axis]->taps.size();
      geometry.dilation[axis] = axes[axis]->dilation;
      // Where no tap reaches the outputs, one that sees padding alone.
      geometry.before[axis] =
          empty ? static_cast<std::int64_t>(axes[axis]->outputs) : axes[axis]->before;
    }
    const auto channels = static_cast<std::size_t>(spec.operands[0].shape.back());
    Phase phase;
    phase.rows = WindowRows(geometry, channels, channels);
    phase.product = Product(geometry.outputs(), phase.rows.taps(), phase.rows.piece(), columns_,
                            epilogue_.activation, spec.precision, phase.rows.row_bytes());
    phase.weights = weights(axes, empty, channels, phase.product.form(), op, spec);
    phase.line_rows = axes[2]->outputs;
    for (std::size_t n = 0; n < whole.batch; ++n) {
      for (std::size_t i = 0; i < axes[0]->outputs; ++i) {
        for (std::size_t j = 0; j < axes[1]->outputs; ++j) {
          const std::size_t row = n * whole.output[0] + axes[0]->first + i * strides[0];
          const std::size_t line = row * whole.output[1] + axes[1]->first + j * strides[1];
          phase.lines.push_back((line * whole.output[2] + axes[2]->first) * columns_);
        }
      }
    }
    edge_bytes_ = std::max(edge_bytes_, (phase.rows.edge_floats() * sizeof(float) + 63) / 64 * 64);
    product_bytes_ = std::max(product_bytes_, phase.product.scratch_bytes());
    seconds_ += phase.product.estimated_seconds();
    phases_.push_back(std::move(phase));
  }

  // The taps of a phase, in its order, packed.
  static Tensor weights(const std::array<const PhaseAxis*, 3>& axes, bool empty,
                        std::size_t channels, const MatrixForm& form,
                        const program::ConvTranspose& op, const KernelSpec& spec) {
    const Constant& kernel = spec.constants[1];
    const std::size_t columns = form.panels().columns();
    std::vector<std::size_t> taps;
    std::array<std::int64_t, 3> size{1, 1, 1};
    for (std::size_t i = 0; i < op.window.rank; ++i) {
      size[i + 3 - op.window.rank] = op.window.size[i];
    }
    for (const std::int64_t a : axes[0]->taps) {
      for (const std::int64_t b : axes[1]->taps) {
        for (const std::int64_t c : axes[2]->taps) {
          if (!empty) taps.push_back(static_cast<std::size_t>((a * size[1] + b) * size[2] + c));
        }
      }
    }
    const program::ConstantCache::Key key{
        fmt::format("{}, taps {}", form.describe(), fmt::join(taps, " ")), {kernel.identity()}};
    const auto pack = [&] {
      const Tensor elements = kernel.elements();
      const std::size_t block = channels * columns;
      std::vector<float> matrix(std::max<std::size_t>(taps.size(), 1) * block);
      for (std::size_t i = 0; i < taps.size(); ++i) {
        std::copy_n(elements.as<float>().data() + taps[i] * block, block,
                    matrix.data() + i * block);
      }
      const std::size_t words = form.words();
      const std::shared_ptr<float> memory = aligned_floats(words);
      form.pack(matrix.data(), columns, memory.get());
      return Tensor(DType::kFloat32, {static_cast<std::int64_t>(words)}, memory,
                    words * sizeof(float));
    };
    return spec.cache.get(key, {&kernel, 1}, pack).elements();
  }

  program::Epilogue epilogue_;
  std::size_t columns_ = 0;
  std::size_t stride_ = 0;  // floats from one output of a phase's line to the next
  std::vector<Phase> phases_;
  std::size_t edge_bytes_ = 0;
  std::size_t product_bytes_ = 0;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::ConvTranspose& op, const KernelSpec& spec) {
  if (op.epilogue.scale) throw Error(ErrorCode::kUnsupported, "a scale");
  return std::make_unique<ConvTransposeKernel>(op, spec);
}

}  // namespace kerf::engine
