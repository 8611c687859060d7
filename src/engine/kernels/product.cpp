#include "engine/kernels/product.h"

#include "engine/kernels/clamp.h"

namespace kerf::engine {
namespace {

constexpr std::size_t kSuperBytes = 512 << 10;  // of rows: a good part of a second-level cache
constexpr std::size_t kNearBytes = 256 << 10;   // of weights that are found where they were left
constexpr std::size_t kSuperPointers = 2048;    // of rows times taps
constexpr std::size_t kTasksPerCore = 4;
constexpr std::size_t kMaxTasks = 256;
// At which weights arrive, by the cache that can hold them.
double bytes_per_second(std::size_t bytes) {
  return bytes <= std::size_t{768} << 10 ? 1.8e11 : bytes <= std::size_t{16} << 20 ? 8e10 : 2e10;
}

constexpr double kCallSeconds = 3e-8;
constexpr double kTileSeconds = 1e-8;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

}  // namespace

Product::Product(std::size_t rows, std::size_t taps, std::size_t depth, std::size_t columns,
                 const program::Activation& activation, Precision precision, std::size_t row_bytes)
    : tiles_(&tile_set(precision, taps * depth, columns)),
      activation_(activation),
      form_(precision, taps, depth, columns, tiles_->lanes),
      panels_(layout().panels()),
      taps_(taps),
      depth_(depth),
      blocks_(divide_up(rows, tiles_->rows)) {
  if (const auto limits = as_clamp(activation)) {
    clamp_ = true;
    low_ = limits->low;
    high_ = limits->high;
  } else if (!activation.identity()) {
    activate_ = activate_block_function();
  }

  if (blocks_ != 0) {
    block_rows_ = rows / blocks_;
    taller_blocks_ = rows % blocks_;
  }
  const std::size_t total_depth = taps * depth;
  const std::size_t block_rows = std::max<std::size_t>(block_rows_ + (taller_blocks_ != 0), 1);
  const bool rounds = tiles_->round_rows != nullptr;
  const std::size_t rounded_bytes = layout().depth() * sizeof(float);
  if (rounds) {
    row_bytes = rounded_bytes;
  } else if (row_bytes == 0) {
    row_bytes = total_depth * sizeof(float);
  }
  const std::size_t block_bytes = std::max<std::size_t>(block_rows * row_bytes, 1);
  super_ = std::min({kSuperBytes / block_bytes,
                     kSuperPointers / (block_rows * std::max<std::size_t>(taps, 1)), blocks_});
  super_ = std::max<std::size_t>(super_, 1);
  task_bytes_ = super_rows() *
                (taps * sizeof(const float*) + (rounds ? rounded_bytes + sizeof(RowScale) : 0));

  const double multiplies =
      static_cast<double>(rows) * static_cast<double>(total_depth) * static_cast<double>(columns);
  const std::size_t weight_bytes = layout().floats() * sizeof(float);
  fetch_ahead_ = weight_bytes > kNearBytes;
  const double outputs = static_cast<double>(rows) * static_cast<double>(columns);
  seconds_ = kCallSeconds + 2 * multiplies / tiles_->flops_per_second +
             kTileSeconds * static_cast<double>(blocks_ * panels_) +
             (activate_ != nullptr ? outputs * 5e-10 : 0) +
             static_cast<double>(rows * total_depth) * tiles_->rounding_seconds;
  seconds_ = std::max(seconds_, static_cast<double>(weight_bytes) / bytes_per_second(weight_bytes));

  // Cut what is smaller to read again for every task: columns where the matrix is the larger.
  const std::size_t most = std::min(kTasksPerCore * core_count(), kMaxTasks);
  const auto wanted = static_cast<std::size_t>(
      std::clamp(seconds_ / kMinimumPartSeconds, 1.0, static_cast<double>(most)));
  if (blocks_ == 0 || panels_ == 0) return;
  if (rows < columns) {
    column_tasks_ = std::min(wanted, panels_);
    row_tasks_ = std::min(divide_up(wanted, column_tasks_), blocks_);
  } else {
    row_tasks_ = std::min(wanted, blocks_);
    column_tasks_ = std::min(divide_up(wanted, row_tasks_), panels_);
  }
}

void Product::round(const Blocks& blocks, std::size_t first, std::size_t count,
                    const float** rows) const noexcept {
  const std::size_t words = layout().depth();
  float* const to = blocks.rounded + first * words;
  tiles_->round_rows({.rows = rows,
                      .count = count,
                      .taps = taps_,
                      .depth = depth_,
                      .to = to,
                      .stride = words,
                      .scales = blocks.scales + first});
  for (std::size_t i = 0; i < count; ++i) rows[i] = to + i * words;
}

void Product::multiply(const Blocks& blocks, const float* matrix, std::size_t panel,
                       const ProductOutput& output) const noexcept {
  const PanelLayout& panels = layout();
  const std::size_t column = panels.first_column(panel);
  const auto& functions = tiles_->functions[panels.vectors_of(panel) - 1];
  const std::size_t first = row_of(blocks.begin);
  const std::size_t block_count = blocks.end - blocks.begin;
  const bool rounded = tiles_->round_rows != nullptr;
  Tile tile;
  tile.taps = rounded ? 1 : taps_;
  tile.depth = rounded ? panels.depth() : depth_;
  tile.panel = matrix + panels.offset(panel);
  tile.ahead = tile.panel;
  const bool fetch = fetch_ahead_ && panel + 1 < panels_ && block_count > 1;
  if (fetch) {
    tile.ahead = matrix + panels.offset(panel + 1);
    tile.ahead_step = divide_up(panels.width(panel), block_count);
  }
  const bool int8 = form_.precision() == Precision::kInt8;
  Int8Scales scales;
  if (int8) {
    scales.columns = form_.scales(matrix) + column;
    scales.column_sums = form_.sums(matrix) + column;
    tile.int8 = &scales;
  }
  tile.out_stride = output.stride;
  tile.columns = panels.columns_of(panel);
  tile.scale = output.scale != nullptr ? output.scale + column : nullptr;
  tile.bias = output.bias != nullptr ? output.bias + column : nullptr;
  tile.clamp = clamp_;
  tile.low = low_;
  tile.high = high_;
  const auto compute = [&](std::size_t rows, std::size_t at) {
    tile.out = output.y + at;
    tile.residual = output.residual != nullptr ? output.residual + at : nullptr;
    functions[rows - 1](tile);
    if (fetch) tile.ahead += tile.ahead_step * panels.depth();
    if (activate_ == nullptr) return;
    // Dense rows are one long one, which fills vectors better where there are few columns.
    const bool dense = output.stride == tile.columns;
    activate_(activation_, tile.out, dense ? 1 : rows, dense ? rows * tile.columns : tile.columns,
              output.stride);
  };
  for (std::size_t block = blocks.begin; block < blocks.end; ++block) {
    std::size_t row = row_of(block);
    const std::size_t row_end = row_of(block + 1);
    tile.rows = blocks.pointers + (row - first) * taps_;
    if (int8 && rounded) scales.rows = blocks.scales + (row - first);
    tile.tap_stride = row_end - row;
    if (output.lines == nullptr) {
      compute(row_end - row, row * output.stride + column);
      continue;
    }
    while (row < row_end) {
      const std::size_t line = row / output.line_rows;
      const std::size_t of_line = row - line * output.line_rows;
      const std::size_t rows = std::min(row_end - row, output.line_rows - of_line);
      compute(rows, output.lines[line] + of_line * output.stride + column);
      row += rows;
      tile.rows += rows;
      if (int8 && rounded) scales.rows += rows;
    }
  }
}

}  // namespace kerf::engine
