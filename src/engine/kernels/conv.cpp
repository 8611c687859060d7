#include "engine/kernel.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/product.h"
#include "engine/kernels/window_rows.h"
#include "engine/kernels/winograd.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

// A product of the input rows under the window by the kernel, for each group.
class ConvKernel final : public Kernel {
 public:
  ConvKernel(const program::Conv& op, const KernelSpec& spec)
      : epilogue_(op.epilogue), groups_(static_cast<std::size_t>(op.groups)) {
    const Shape& x = spec.operands[0].shape;
    const Shape& y = spec.results[0].shape;
    const WindowGeometry geometry(op.window, x, y);
    const auto channels = static_cast<std::size_t>(x.back());
    depth_ = channels / groups_;
    columns_ = static_cast<std::size_t>(y.back()) / groups_;
    stride_ = spec.result_stride != 0 ? spec.result_stride : groups_ * columns_;
    rows_ = WindowRows(geometry, channels, depth_);
    product_ = Product(geometry.outputs(), rows_.taps(), rows_.piece(), columns_,
                       op.epilogue.activation, spec.precision, rows_.row_bytes());
    weights_ = packed_constant(spec, product_.form(),
                               {.operand = 1, .stride = groups_ * columns_, .groups = groups_});
    // Each output sees just its own cell: the input is a dense matrix.
    dense_ = groups_ == 1 && rows_.taps() == 1 && rows_.piece() == channels &&
             geometry.size == geometry.output && geometry.before == std::array<std::int64_t, 3>{};
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const float*>(run.operands[0]);
    std::size_t next = 2;
    const float* bias = epilogue_.bias ? static_cast<const float*>(run.operands[next++]) : nullptr;
    const float* residual =
        epilogue_.residual ? static_cast<const float*>(run.operands[next++]) : nullptr;
    const float* scale = epilogue_.scale ? static_cast<const float*>(run.operands[next]) : nullptr;
    auto* y = static_cast<float*>(run.results[0]);
    const float* weights = weights_.as<float>().data();
    const auto group_output = [&](std::size_t group) {
      const std::size_t column = group * columns_;
      return ProductOutput{.y = y + column,
                           .stride = stride_,
                           .scale = scale != nullptr ? scale + column : nullptr,
                           .bias = bias != nullptr ? bias + column : nullptr,
                           .residual = residual != nullptr ? residual + column : nullptr};
    };
    if (dense_) {
      product_.run(DenseRows{x, depth_}, weights, group_output(0), run.scratch, run.pool);
      return true;
    }
    auto* edges = reinterpret_cast<float*>(run.scratch);
    std::byte* scratch = run.scratch + edge_bytes();
    rows_.prepare(x, edges, run.pool);
    if (groups_ == 1) {
      product_.run(WindowRows::Source{rows_, x, edges}, weights, group_output(0), scratch,
                   run.pool);
      return true;
    }
    ThreadPool* pool = estimated_seconds() > 2 * kMinimumPartSeconds ? run.pool : nullptr;
    parallel_for(pool, groups_, [&](std::size_t group) {
      product_.run(WindowRows::Source{rows_, x + group * depth_, edges},
                   weights + group * product_.form().words(), group_output(group),
                   scratch + group * product_.scratch_bytes(), nullptr);
    });
    return true;
  }

  bool reads(std::size_t operand) const noexcept override { return operand != 1; }
  std::size_t scratch_bytes() const noexcept override {
    return edge_bytes() + groups_ * product_.scratch_bytes();
  }
  bool may_overwrite(std::size_t operand) const noexcept override {
    return epilogue_.residual && operand == 2U + (epilogue_.bias ? 1 : 0);
  }
  std::string_view method() const noexcept override { return product_.method(); }
  double estimated_seconds() const noexcept override {
    return static_cast<double>(groups_) * product_.estimated_seconds();
  }

 private:
  std::size_t edge_bytes() const noexcept {
    return (rows_.edge_floats() * sizeof(float) + 63) / 64 * 64;
  }

  program::Epilogue epilogue_;
  std::size_t groups_;
  std::size_t depth_ = 0;    // input channels of a group
  std::size_t columns_ = 0;  // output channels of a group
  std::size_t stride_ = 0;   // floats from one output cell to the next
  bool dense_ = false;
  WindowRows rows_;
  Product product_;
  Tensor weights_;
};

}  // namespace

KernelPtr make_kernel(const program::Conv& op, const KernelSpec& spec) {
  const std::int64_t channels = spec.operands[0].shape.back();
  if (op.groups > 1 && op.groups == channels && !op.epilogue.scale) {
    return make_kernel(program::DepthwiseConv{.window = op.window, .epilogue = op.epilogue}, spec);
  }
  if (KernelPtr winograd = make_winograd(op, spec)) return winograd;
  return std::make_unique<ConvKernel>(op, spec);
}

}  // namespace kerf::engine
