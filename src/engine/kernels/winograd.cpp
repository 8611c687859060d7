#include "engine/kernels/winograd.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <vector>

#include "engine/kernels/activate.h"
#include "engine/kernels/clamp.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/tile.h"
#include "engine/kernels/window_rows.h"
#include "engine/kernels/winograd_transform.h"
#include "engine/parallel.h"
#include "kerf/error.h"

namespace kerf::engine {
namespace {

constexpr std::size_t kWindow = 9;
constexpr std::size_t kChunkBytes = 600
                                    << 10;  // of transformed input: stays in a second-level cache
constexpr std::size_t kMaxWeightBytes = 5 << 20;  // beyond, reading them costs what they save
constexpr std::size_t kMaxExactBytes = 1 << 20;   // likewise where less memory is asked for
constexpr double kFlopsPerByte = 6;               // that pass while a byte of weights arrives
constexpr double kFlopsPerElement = 12;           // likewise while one is transformed
constexpr double kWorthwhile = 0.85;              // of the time of the plain product
constexpr std::size_t kLine = 16;                 // floats of a cache line
constexpr std::size_t kPadding = 16;              // floats that keep positions apart in caches

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
std::size_t round_up(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

struct Sizes {
  std::size_t height = 0;  // of the output
  std::size_t width = 0;
  std::size_t channels = 0;
  std::size_t columns = 0;  // output channels
};

// What a sample costs, in multiplications and additions of a product in float32, by F(m x m, 3 x
// 3).
double winograd_flops(const Sizes& s, std::size_t m) {
  const auto positions = static_cast<double>((m + 2) * (m + 2));
  const auto tiles = static_cast<double>(divide_up(s.height, m) * divide_up(s.width, m));
  const auto channels = static_cast<double>(s.channels);
  const auto columns = static_cast<double>(s.columns);
  return positions *
         (2 * tiles * channels * columns + kFlopsPerElement * tiles * (channels + columns) +
          kFlopsPerByte * sizeof(float) * channels * columns);
}
// Plain, by tiles that may be faster than float32's but have to round rows first: in
// multiplications of float32 as well.
double plain_flops(const Sizes& s, const TileSet& tiles) {
  const double flops_per_second = tile_set().flops_per_second;
  const double outputs = static_cast<double>(s.height * s.width);
  const auto depth = static_cast<double>(kWindow * s.channels);
  const double weights = depth * static_cast<double>(s.columns);
  return weights * (2 * outputs + kFlopsPerByte * sizeof(float)) * flops_per_second /
             tiles.flops_per_second +
         outputs * depth * tiles.rounding_seconds * flops_per_second;
}

// 2 or 4, or 0 for the plain product.
std::size_t best_outputs(const Sizes& sizes, const PanelLayout& layout, Precision precision) {
  const bool exact = precision == Precision::kFloat32;
  std::size_t best = 0;
  double least = kWorthwhile *
                 plain_flops(sizes, tile_set(precision, kWindow * sizes.channels, sizes.columns));
  for (const std::size_t m : {std::size_t{2}, std::size_t{4}}) {
    const std::size_t bytes = (m + 2) * (m + 2) * layout.floats() * sizeof(float);
    if (bytes > (exact ? kMaxWeightBytes : kMaxExactBytes)) continue;
    if (const double flops = winograd_flops(sizes, m); flops < least) {
      least = flops;
      best = m;
    }
  }
  return best;
}

// Patches are transformed a chunk at a time; then, panel after panel of the weights, each
// position's channels are multiplied and the sums transformed into outputs. Large images are spread
// over threads by chunks; the few chunks of small ones by panels too. The weights of a panel are
// transformed anew in every run, where they are used if that is once, which costs less than to
// fetch what is 1.8 or 4 times their size from memory, let alone to keep it there.
class WinogradKernel final : public Kernel {
 public:
  WinogradKernel(const program::Conv& op, const KernelSpec& spec, const WindowGeometry& geometry,
                 const Sizes& sizes, const PanelLayout& layout, std::size_t m)
      : epilogue_(op.epilogue),
        clamp_(as_clamp(op.epilogue.activation)),
        activate_(activate_block_function()),
        functions_(&winograd_functions(m)),
        tile_set_(&tile_set()),
        geometry_(geometry),
        sizes_(sizes),
        layout_(layout),
        packed_(Precision::kFloat32, kWindow, sizes.channels, sizes.columns, tile_set_->lanes),
        m_(m),
        side_(m + 2),
        down_(divide_up(sizes.height, m)),
        across_(divide_up(sizes.width, m)),
        cell_(spec.result_stride != 0 ? spec.result_stride : sizes.columns),
        tiles_(geometry.batch * down_ * across_),
        weights_(packed_constant(spec, packed_, {.operand = 1, .stride = sizes.columns})) {
    const std::size_t tile_bytes = side_ * side_ * sizes.channels * sizeof(float);
    const std::size_t rows = tile_set_->rows;
    const std::size_t fitting = std::max<std::size_t>(kChunkBytes / (tile_bytes * rows), 1) * rows;
    chunks_ = std::max<std::size_t>(divide_up(tiles_, fitting), 1);
    chunk_ = divide_up(tiles_, chunks_);
    seconds_ = 1e-7 + static_cast<double>(geometry.batch) * winograd_flops(sizes, m) /
                          tile_set_->flops_per_second;
    by_chunk_ = chunks_ >= 2 * core_count();
    if (by_chunk_) {
      inputs_ = sums_ = std::min(chunks_, core_count());
      panels_ = layout_.panels();
      return;
    }
    const std::size_t wanted = std::min(
        2 * core_count(),
        std::max<std::size_t>(static_cast<std::size_t>(seconds_ / kMinimumPartSeconds), 1));
    groups_ = std::min(wanted, layout_.panels());
    splits_ = std::min(divide_up(wanted, groups_), chunks_);
    inputs_ = chunks_;
    sums_ = panels_ = groups_ * splits_;
  }

  bool run(const KernelRun& run) const noexcept override {
    const Arguments arguments = arguments_of(run);
    ThreadPool* pool = seconds_ > 2 * kMinimumPartSeconds ? run.pool : nullptr;
    if (by_chunk_) {
      run_by_chunk(run, arguments, pool);
    } else {
      run_by_panel(run, arguments, pool);
    }
    return true;
  }

  std::size_t scratch_bytes() const noexcept override {
    return inputs_ * input_bytes() + sums_ * sums_bytes() + panels_ * panel_bytes();
  }
  bool reads(std::size_t operand) const noexcept override { return operand != 1; }
  bool may_overwrite(std::size_t operand) const noexcept override {
    return epilogue_.residual && operand == 2U + (epilogue_.bias ? 1 : 0);
  }
  std::string_view method() const noexcept override {
    return m_ == 2 ? "Winograd 2x2" : "Winograd 4x4";
  }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  struct Arguments {
    const float* x = nullptr;
    const float* scale = nullptr;
    const float* bias = nullptr;
    const float* residual = nullptr;
    float* y = nullptr;
  };
  Arguments arguments_of(const KernelRun& run) const noexcept {
    Arguments arguments{.x = static_cast<const float*>(run.operands[0]),
                        .y = static_cast<float*>(run.results[0])};
    std::size_t next = 2;
    if (epilogue_.bias) arguments.bias = static_cast<const float*>(run.operands[next++]);
    if (epilogue_.residual) arguments.residual = static_cast<const float*>(run.operands[next++]);
    if (epilogue_.scale) arguments.scale = static_cast<const float*>(run.operands[next]);
    return arguments;
  }

  // Floats from one position to the next.
  std::size_t input_position() const noexcept { return chunk_ * sizes_.channels + kPadding; }
  std::size_t sums_position() const noexcept { return chunk_ * layout_.first_column(1) + kPadding; }
  std::size_t input_bytes() const noexcept {
    return round_up(side_ * side_ * input_position() * sizeof(float));
  }
  std::size_t sums_bytes() const noexcept {
    return round_up(side_ * side_ * sums_position() * sizeof(float));
  }
  float* input_slot(const KernelRun& run, std::size_t slot) const noexcept {
    return reinterpret_cast<float*>(run.scratch + slot * input_bytes());
  }
  float* sums_slot(const KernelRun& run, std::size_t slot) const noexcept {
    return reinterpret_cast<float*>(run.scratch + inputs_ * input_bytes() + slot * sums_bytes());
  }

  std::size_t panel_position() const noexcept { return layout_.offset(1) + kPadding; }
  std::size_t panel_bytes() const noexcept {
    return round_up(side_ * side_ * panel_position() * sizeof(float));
  }
  float* panel_slot(const KernelRun& run, std::size_t slot) const noexcept {
    return reinterpret_cast<float*>(run.scratch + inputs_ * input_bytes() + sums_ * sums_bytes() +
                                    slot * panel_bytes());
  }

  void transform_weights(std::size_t panel, float* to) const noexcept {
    functions_->weights({.from = weights_.as<float>().data() + packed_.panels().offset(panel),
                         .vectors = layout_.depth() * layout_.vectors_of(panel),
                         .to = to,
                         .position = panel_position()});
  }

  std::size_t first_tile(std::size_t chunk) const noexcept { return chunk * tiles_ / chunks_; }
  std::size_t chunk_of(std::size_t tile) const noexcept {
    std::size_t chunk = tile * chunks_ / tiles_;
    while (first_tile(chunk + 1) <= tile) ++chunk;
    return chunk;
  }

  // The output that a patch begins with.
  struct Corner {
    std::size_t sample;
    std::size_t row;
    std::size_t cell;
  };
  Corner corner(std::size_t tile) const noexcept {
    return {tile / (down_ * across_), tile / across_ % down_ * m_, tile % across_ * m_};
  }

  // Which of the patch's cells along an axis lie in the input, and the first one of these.
  struct Cells {
    std::size_t begin;
    std::size_t end;
    std::size_t first;
  };
  Cells cells(std::size_t axis, std::size_t output) const noexcept {
    const auto side = static_cast<std::int64_t>(side_);
    const auto size = static_cast<std::int64_t>(geometry_.size[axis]);
    const std::int64_t at = static_cast<std::int64_t>(output) - geometry_.before[axis];
    const std::int64_t begin = std::clamp<std::int64_t>(-at, 0, side);
    const std::int64_t end = std::clamp<std::int64_t>(size - at, begin, side);
    const std::int64_t first = begin == end ? 0 : at + begin;
    return {static_cast<std::size_t>(begin), static_cast<std::size_t>(end),
            static_cast<std::size_t>(first)};
  }

  void transform_input(const float* x, std::size_t tile, std::size_t of_chunk,
                       float* to) const noexcept {
    const Corner at = corner(tile);
    const Cells rows = cells(1, at.row);
    const Cells columns = cells(2, at.cell);
    const std::size_t row = at.sample * geometry_.size[1] + rows.first;
    functions_->input({.x = x + (row * geometry_.size[2] + columns.first) * sizes_.channels,
                       .row = geometry_.size[2] * sizes_.channels,
                       .cell = sizes_.channels,
                       .row_begin = rows.begin,
                       .row_end = rows.end,
                       .cell_begin = columns.begin,
                       .cell_end = columns.end,
                       .channels = sizes_.channels,
                       .to = to + of_chunk * sizes_.channels,
                       .position = input_position()});
  }

  // All weights, once; then each thread takes chunk after chunk.
  void run_by_chunk(const KernelRun& run, const Arguments& arguments,
                    ThreadPool* pool) const noexcept {
    parallel_for(pool, layout_.panels(),
                 [&](std::size_t panel) { transform_weights(panel, panel_slot(run, panel)); });
    std::atomic<std::size_t> next{0};
    parallel_for(pool, pool != nullptr ? inputs_ : 1, [&](std::size_t slot) {
      for (std::size_t chunk = next++; chunk < chunks_; chunk = next++) {
        const std::size_t begin = first_tile(chunk);
        for (std::size_t tile = begin; tile < first_tile(chunk + 1); ++tile) {
          transform_input(arguments.x, tile, tile - begin, input_slot(run, slot));
        }
        for (std::size_t panel = 0; panel < layout_.panels(); ++panel) {
          compute_panel(arguments, chunk, panel, input_slot(run, slot), panel_slot(run, panel),
                        nullptr, sums_slot(run, slot));
        }
      }
    });
  }

  // All patches; then each task some panels, one after another, with some chunks.
  void run_by_panel(const KernelRun& run, const Arguments& arguments,
                    ThreadPool* pool) const noexcept {
    parallel_ranges(pool, tiles_, seconds_ / 4, [&](std::size_t begin, std::size_t end) {
      for (std::size_t tile = begin; tile < end; ++tile) {
        const std::size_t chunk = chunk_of(tile);
        transform_input(arguments.x, tile, tile - first_tile(chunk), input_slot(run, chunk));
      }
    });
    parallel_for(pool, groups_ * splits_, [&](std::size_t task) {
      const std::size_t group = task % groups_;
      const std::size_t split = task / groups_;
      for (std::size_t panel = group * layout_.panels() / groups_;
           panel < (group + 1) * layout_.panels() / groups_; ++panel) {
        transform_weights(panel, panel_slot(run, task));
        const float* ahead = panel + 1 < layout_.panels()
                                 ? weights_.as<float>().data() + packed_.panels().offset(panel + 1)
                                 : nullptr;
        for (std::size_t chunk = split * chunks_ / splits_; chunk < (split + 1) * chunks_ / splits_;
             ++chunk) {
          compute_panel(arguments, chunk, panel, input_slot(run, chunk), panel_slot(run, task),
                        ahead, sums_slot(run, task));
          ahead = nullptr;
        }
      }
    });
  }

  void compute_panel(const Arguments& arguments, std::size_t chunk, std::size_t panel,
                     const float* input, const float* weights, const float* ahead,
                     float* sums) const noexcept {
    const std::size_t begin = first_tile(chunk);
    const std::size_t count = first_tile(chunk + 1) - begin;
    const std::size_t width = layout_.vectors_of(panel) * tile_set_->lanes;
    multiply(panel, width, count, input, weights, ahead, sums);
    for (std::size_t i = 0; i < count; ++i) {
      transform_output(arguments, panel, begin + i, sums + i * width);
    }
  }

  // `ahead`: weights of the panel after, as packed, or null. They are fetched into the cache while
  // those of this one are in use.
  void multiply(std::size_t panel, std::size_t width, std::size_t count, const float* input,
                const float* weights, const float* ahead, float* sums) const noexcept {
    const auto& functions = tile_set_->functions[layout_.vectors_of(panel) - 1];
    const std::size_t blocks = divide_up(count, tile_set_->rows);
    const float* const end = ahead != nullptr ? ahead + packed_.panels().offset(1) : nullptr;
    std::array<const float*, TileSet::kMaxRows> rows{};
    Tile tile;
    tile.rows = rows.data();
    tile.depth = sizes_.channels;
    tile.panel = weights;
    tile.out_stride = width;
    tile.columns = width;
    for (std::size_t p = 0; p < side_ * side_; ++p, tile.panel += panel_position()) {
      for (std::size_t block = 0; block < blocks; ++block) {
        const std::size_t first = block * count / blocks;
        const std::size_t height = (block + 1) * count / blocks - first;
        const float* from = input + p * input_position() + first * sizes_.channels;
        for (std::size_t i = 0; i < height; ++i) rows[i] = from + i * sizes_.channels;
        tile.out = sums + p * sums_position() + first * width;
        const std::size_t line = ahead < end ? kLine : 0;
        tile.ahead = line != 0 ? ahead : tile.panel;
        tile.ahead_step = line;
        functions[height - 1](tile);
        ahead += line * sizes_.channels;
      }
    }
  }

  void transform_output(const Arguments& arguments, std::size_t panel, std::size_t tile,
                        const float* sums) const noexcept {
    const Corner at = corner(tile);
    const std::size_t column = layout_.first_column(panel);
    const std::size_t line = at.sample * sizes_.height + at.row;
    const std::size_t offset = (line * sizes_.width + at.cell) * cell_ + column;
    const WinogradOutput output{
        .sums = sums,
        .position = sums_position(),
        .channels = layout_.columns_of(panel),
        .y = arguments.y + offset,
        .row = sizes_.width * cell_,
        .cell = cell_,
        .rows = std::min(m_, sizes_.height - at.row),
        .cells = std::min(m_, sizes_.width - at.cell),
        .scale = arguments.scale != nullptr ? arguments.scale + column : nullptr,
        .bias = arguments.bias != nullptr ? arguments.bias + column : nullptr,
        .residual = arguments.residual != nullptr ? arguments.residual + offset : nullptr,
        .clamp = clamp_.has_value(),
        .low = clamp_ ? clamp_->low : 0,
        .high = clamp_ ? clamp_->high : 0};
    functions_->output(output);
    if (clamp_ || epilogue_.activation.identity()) return;
    for (std::size_t i = 0; i < output.rows; ++i) {
      activate_(epilogue_.activation, output.y + i * output.row, output.cells, output.channels,
                output.cell);
    }
  }

  program::Epilogue epilogue_;
  std::optional<Clamp> clamp_;
  ActivateBlockFunction activate_;
  const WinogradFunctions* functions_;
  const TileSet* tile_set_;
  WindowGeometry geometry_;
  Sizes sizes_;
  PanelLayout layout_;  // of one position
  MatrixForm packed_;   // of all cells of the window
  std::size_t m_;       // outputs of a patch along each axis
  std::size_t side_;    // cells
  std::size_t down_;    // patches of a sample
  std::size_t across_;
  std::size_t cell_;   // floats from one output cell to the next
  std::size_t tiles_;  // patches of all
  std::size_t chunks_ = 1;
  std::size_t chunk_ = 1;   // patches, at most
  bool by_chunk_ = false;   // else by panel:
  std::size_t groups_ = 1;  // of panels
  std::size_t splits_ = 1;  // of chunks
  std::size_t inputs_ = 1;  // slots of scratch memory
  std::size_t sums_ = 1;
  std::size_t panels_ = 1;
  Tensor weights_;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_winograd(const program::Conv& op, const KernelSpec& spec) {
  const program::Window& window = op.window;
  const std::array<std::int64_t, 3> ones{1, 1, 1};
  if (window.rank != 2 || op.groups != 1 || window.strides != ones || window.dilation != ones ||
      window.size[0] != 3 || window.size[1] != 3 || spec.constants[1].empty()) {
    return nullptr;
  }
  const WindowGeometry geometry(window, spec.operands[0].shape, spec.results[0].shape);
  const Sizes sizes{.height = geometry.output[1],
                    .width = geometry.output[2],
                    .channels = static_cast<std::size_t>(spec.operands[0].shape.back()),
                    .columns = static_cast<std::size_t>(spec.results[0].shape.back())};
  const PanelLayout layout(sizes.channels, sizes.columns, tile_set().lanes);
  const std::size_t m = best_outputs(sizes, layout, spec.precision);
  if (m == 0) return nullptr;
  return std::make_unique<WinogradKernel>(op, spec, geometry, sizes, layout, m);
}

}  // namespace kerf::engine
