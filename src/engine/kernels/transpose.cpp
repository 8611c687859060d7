#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/unit.h"
#include "engine/parallel.h"

namespace kerf::engine {
namespace {

LoopNest<1> transposed_loops(const Shape& shape, std::span<const std::int64_t> permutation) {
  std::array<std::size_t, Shape::kMaxRank> strides{};
  std::size_t stride = 1;
  for (std::size_t i = shape.rank(); i-- > 0; stride *= static_cast<std::size_t>(shape[i])) {
    strides[i] = stride;
  }
  LoopNest<1> loops;
  for (const std::int64_t axis : permutation) {
    const auto a =
        static_cast<std::size_t>(axis < 0 ? axis + static_cast<std::int64_t>(shape.rank()) : axis);
    loops.add(static_cast<std::size_t>(shape[a]), {strides[a]});
  }
  loops.finish();
  return loops;
}

// The last axis stays the last: whole rows move.
class RowsKernel final : public Kernel {
 public:
  RowsKernel(const LoopNest<1>& loops, std::size_t element_size)
      : loops_(loops), element_size_(element_size) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const std::byte*>(run.operands[0]);
    auto* y = static_cast<std::byte*>(run.results[0]);
    const std::size_t bytes = loops_.columns() * element_size_;
    parallel_ranges(run.pool, loops_.rows(), estimated_seconds(),
                    [&](std::size_t begin, std::size_t end) {
                      for (std::size_t row = begin; row < end; ++row) {
                        std::memcpy(y + row * bytes, x + loops_.at(row)[0] * element_size_, bytes);
                      }
                    });
    return true;
  }

  double estimated_seconds() const noexcept override {
    const auto bytes = static_cast<double>(loops_.columns() * element_size_);
    return static_cast<double>(loops_.rows()) * (5e-9 + bytes * 4e-11);
  }

 private:
  LoopNest<1> loops_;
  std::size_t element_size_;
};

// The operand's last axis becomes another one: matrices of these two axes are transposed in square
// blocks, each of which reads and writes whole cache lines.
template <typename T>
class MatricesKernel final : public Kernel {
 public:
  explicit MatricesKernel(const LoopNest<1>& loops) {
    const std::size_t last = loops.rank - 1;
    columns_ = loops.sizes[last];
    column_step_ = loops.strides[0][last];
    // Elements between neighbours in the result, by axis.
    std::array<std::size_t, Shape::kMaxRank> steps{};
    std::size_t step = 1;
    for (std::size_t i = loops.rank; i-- > 0; step *= loops.sizes[i]) steps[i] = step;
    for (std::size_t i = 0; i < last; ++i) {
      if (loops.strides[0][i] == 1) {
        rows_ = loops.sizes[i];
        row_step_ = steps[i];
      } else {
        matrices_.add(loops.sizes[i], {loops.strides[0][i], steps[i]});
      }
    }
    matrices_.finish();
    stripes_ = (rows_ + kBlock - 1) / kBlock;
  }

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const T*>(run.operands[0]);
    auto* y = static_cast<T*>(run.results[0]);
    const std::size_t inner = matrices_.columns();
    parallel_ranges(run.pool, matrices_.rows() * inner * stripes_, estimated_seconds(),
                    [&](std::size_t begin, std::size_t end) {
                      for (std::size_t i = begin; i < end; ++i) {
                        const std::size_t matrix = i / stripes_;
                        const std::size_t row = i % stripes_ * kBlock;
                        auto [from, to] = matrices_.at(matrix / inner);
                        from += matrix % inner * matrices_.strides[0][matrices_.rank - 1] + row;
                        to += matrix % inner * matrices_.strides[1][matrices_.rank - 1] +
                              row * row_step_;
                        stripe(x + from, y + to, std::min(kBlock, rows_ - row));
                      }
                    });
    return true;
  }

  double estimated_seconds() const noexcept override {
    return static_cast<double>(matrices_.rows() * matrices_.columns() * rows_ * columns_) * 4e-10;
  }

 private:
  static constexpr std::size_t kBlock = 16;

  // `rows` rows of the result, which are neighbours in the operand.
  void stripe(const T* x, T* y, std::size_t rows) const noexcept {
    std::size_t column = 0;
    if (rows == kBlock) {
      for (; column + kBlock <= columns_; column += kBlock) {
        T block[kBlock][kBlock];
        for (std::size_t j = 0; j < kBlock; ++j) {
          const T* from = x + (column + j) * column_step_;
          for (std::size_t i = 0; i < kBlock; ++i) block[i][j] = from[i];
        }
        for (std::size_t i = 0; i < kBlock; ++i) {
          std::memcpy(y + i * row_step_ + column, block[i], sizeof(block[i]));
        }
      }
    }
    for (; column < columns_; ++column) {
      const T* from = x + column * column_step_;
      for (std::size_t i = 0; i < rows; ++i) y[i * row_step_ + column] = from[i];
    }
  }

  LoopNest<2> matrices_;         // offsets of a matrix in the operand and in the result
  std::size_t rows_ = 1;         // along the operand's last axis
  std::size_t row_step_ = 1;     // in the result
  std::size_t columns_ = 1;      // along the result's last axis
  std::size_t column_step_ = 1;  // in the operand
  std::size_t stripes_ = 1;
};

}  // namespace

KernelPtr make_kernel(const program::Transpose& op, const KernelSpec& spec) {
  const LoopNest<1> loops = transposed_loops(spec.operands[0].shape, op.permutation);
  const std::size_t size = element_size(spec.operands[0]);
  if (loops.strides[0][loops.rank - 1] == 1 || loops.columns() == 1) {
    return std::make_unique<RowsKernel>(loops, size);
  }
  return visit_unit(size, [&](auto unit) -> KernelPtr {
    return std::make_unique<MatricesKernel<decltype(unit)>>(loops);
  });
}

}  // namespace kerf::engine
