#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "engine/kernel.h"
#include "engine/kernels/activate.h"
#include "engine/kernels/matrix_form.h"
#include "engine/kernels/tile.h"
#include "engine/parallel.h"

namespace kerf::engine {

// What a product does to its sums besides: y = activation(sum * scale + bias + residual).
struct ProductOutput {
  float* y = nullptr;
  std::size_t stride = 0;
  const float* scale = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;  // laid out as y, which it may be
  // Where rows are not all evenly spaced: lines of `line_rows` rows that are, and where each begins
  // in y, in floats.
  const std::size_t* lines = nullptr;
  std::size_t line_rows = 0;
};

// Rows of a dense matrix.
struct DenseRows {
  const float* x = nullptr;
  std::size_t stride = 0;
  void operator()(std::size_t first, std::size_t count, const float** to) const noexcept {
    for (std::size_t i = 0; i < count; ++i) to[i] = x + (first + i) * stride;
  }
};

// How a product of many rows by a packed matrix is cut into tiles and tasks. A row is `taps` pieces
// of `depth` floats, anywhere in memory. Rows are cut into blocks, one tile high; blocks that stay
// in the second-level cache together meet each panel one after another. The cut depends on the
// shapes alone, and sums are never cut, so that results do not depend on the number of threads.
// Where tiles take rounded rows, those of a task are rounded once for all panels, each by itself,
// so that results do not depend on what other rows there are. Immutable.
class Product {
 public:
  Product() = default;
  // `row_bytes`: what a row adds to the memory that all are read from, if they overlap.
  Product(std::size_t rows, std::size_t taps, std::size_t depth, std::size_t columns,
          const program::Activation& activation, Precision precision = Precision::kFloat32,
          std::size_t row_bytes = 0);

  // How the matrix is to be packed.
  const MatrixForm& form() const noexcept { return form_; }
  const PanelLayout& layout() const noexcept { return form_.panels(); }
  std::size_t scratch_bytes() const noexcept { return tasks() * task_bytes_; }
  std::string_view method() const noexcept { return tiles_->method; }
  double estimated_seconds() const noexcept { return seconds_; }

  // rows(first, count, to) gives the pointers of tap t and row first + i at to[t * count + i].
  template <class Rows>
  void run(const Rows& rows, const float* matrix, const ProductOutput& output, std::byte* scratch,
           ThreadPool* pool) const noexcept {
    if (pool == nullptr || tasks() == 1) {
      task(rows, matrix, output, scratch, {0, blocks_}, {0, panels_});
      return;
    }
    parallel_for(pool, tasks(), [&](std::size_t i) {
      task(rows, matrix, output, scratch + i * task_bytes_,
           part(blocks_, i / column_tasks_, row_tasks_),
           part(panels_, i % column_tasks_, column_tasks_));
    });
  }

 private:
  std::size_t tasks() const noexcept { return row_tasks_ * column_tasks_; }
  // The first row of a block.
  std::size_t row_of(std::size_t block) const noexcept {
    return block * block_rows_ + std::min(block, taller_blocks_);
  }

  struct Range {
    std::size_t begin;
    std::size_t end;
  };
  static Range part(std::size_t count, std::size_t i, std::size_t parts) noexcept {
    return {i * count / parts, (i + 1) * count / parts};
  }

  // The rows of blocks [begin, end), in a task's scratch memory.
  struct Blocks {
    std::size_t begin = 0;
    std::size_t end = 0;
    const float** pointers = nullptr;
    float* rounded = nullptr;
    RowScale* scales = nullptr;
  };
  std::size_t super_rows() const noexcept { return super_ * TileSet::kMaxRows; }

  template <class Rows>
  void task(const Rows& rows, const float* matrix, const ProductOutput& output, std::byte* scratch,
            Range of_blocks, Range of_panels) const noexcept {
    Blocks blocks;
    blocks.pointers = reinterpret_cast<const float**>(scratch);
    if (tiles_->round_rows != nullptr) {
      blocks.rounded = reinterpret_cast<float*>(blocks.pointers + super_rows() * taps_);
      blocks.scales = reinterpret_cast<RowScale*>(blocks.rounded + super_rows() * layout().depth());
    }
    for (std::size_t begin = of_blocks.begin; begin < of_blocks.end; begin += super_) {
      blocks.begin = begin;
      blocks.end = std::min(begin + super_, of_blocks.end);
      for (std::size_t block = begin; block < blocks.end; ++block) {
        const std::size_t first = row_of(block);
        const std::size_t count = row_of(block + 1) - first;
        const float** const to = blocks.pointers + (first - row_of(begin)) * taps_;
        rows(first, count, to);
        if (tiles_->round_rows != nullptr) round(blocks, first - row_of(begin), count, to);
      }
      for (std::size_t panel = of_panels.begin; panel < of_panels.end; ++panel) {
        multiply(blocks, matrix, panel, output);
      }
    }
  }

  // Rounds a block of rows, and has their pointers point there.
  void round(const Blocks& blocks, std::size_t first, std::size_t count,
             const float** rows) const noexcept;
  // All of the blocks by one panel.
  void multiply(const Blocks& blocks, const float* matrix, std::size_t panel,
                const ProductOutput& output) const noexcept;

  const TileSet* tiles_ = nullptr;
  program::Activation activation_;
  bool clamp_ = false;
  ActivateBlockFunction activate_ = nullptr;  // a pass of its own over what a tile wrote
  float low_ = 0;
  float high_ = 0;
  MatrixForm form_;
  std::size_t panels_ = 0;
  std::size_t taps_ = 1;
  std::size_t depth_ = 0;  // of one tap
  std::size_t blocks_ = 0;
  std::size_t block_rows_ = 0;
  std::size_t taller_blocks_ = 0;  // the first ones, with a row more
  std::size_t super_ = 1;          // blocks that meet a panel one after another
  bool fetch_ahead_ = false;       // the next panel, while they do
  std::size_t row_tasks_ = 1;
  std::size_t column_tasks_ = 1;
  std::size_t task_bytes_ = 0;
  double seconds_ = 0;
};

}  // namespace kerf::engine
