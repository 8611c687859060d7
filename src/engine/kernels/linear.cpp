#include "engine/kernel.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/product.h"

namespace kerf::engine {
namespace {

class LinearKernel final : public Kernel {
 public:
  LinearKernel(const program::Linear& op, const KernelSpec& spec) : epilogue_(op.epilogue) {
    const Shape& w = spec.operands[1].shape;
    const Shape& y = spec.results[0].shape;
    depth_ = static_cast<std::size_t>(w[0]);
    columns_ = static_cast<std::size_t>(w[1]);
    stride_ = spec.result_stride != 0 ? spec.result_stride : columns_;
    std::size_t rows = 1;
    for (std::size_t i = 0; i + 1 < y.rank(); ++i) rows *= static_cast<std::size_t>(y[i]);
    product_ = Product(rows, 1, depth_, columns_, op.epilogue.activation, spec.precision);
    weights_ = packed_constant(spec, product_.form(), {.operand = 1, .stride = columns_});
  }

  bool run(const KernelRun& run) const noexcept override {
    ProductOutput output{.y = static_cast<float*>(run.results[0]), .stride = stride_};
    std::size_t next = 2;
    if (epilogue_.bias) output.bias = static_cast<const float*>(run.operands[next++]);
    if (epilogue_.residual) output.residual = static_cast<const float*>(run.operands[next++]);
    if (epilogue_.scale) output.scale = static_cast<const float*>(run.operands[next]);
    const DenseRows rows{static_cast<const float*>(run.operands[0]), depth_};
    product_.run(rows, weights_.as<float>().data(), output, run.scratch, run.pool);
    return true;
  }

  bool reads(std::size_t operand) const noexcept override { return operand != 1; }
  std::size_t scratch_bytes() const noexcept override { return product_.scratch_bytes(); }
  bool may_overwrite(std::size_t operand) const noexcept override {
    return epilogue_.residual && operand == 2U + (epilogue_.bias ? 1 : 0);
  }
  std::string_view method() const noexcept override { return product_.method(); }
  double estimated_seconds() const noexcept override { return product_.estimated_seconds(); }

 private:
  program::Epilogue epilogue_;
  std::size_t depth_ = 0;
  std::size_t columns_ = 0;
  std::size_t stride_ = 0;  // floats from one result row to the next
  Product product_;
  Tensor weights_;
};

}  // namespace

KernelPtr make_kernel(const program::Linear& op, const KernelSpec& spec) {
  return std::make_unique<LinearKernel>(op, spec);
}

}  // namespace kerf::engine
