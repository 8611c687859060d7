#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/tile.h"
#include "engine/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/kernels/attention.cpp"
#include "hwy/foreach_target.h"
//
#include "engine/kernels/lines-inl.h"
#include "engine/kernels/vector_math-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::engine::HWY_NAMESPACE {

// Softmax of scale * x, in place, over the places where `allowed` (all if null) is true; the others
// become zero. False where there is no such place.
bool attend_line(float* x, const bool* allowed, std::size_t count, float scale) {
  bool any = allowed == nullptr && count != 0;
  if (allowed != nullptr) {
    for (std::size_t i = 0; i < count; ++i) {
      any = any || allowed[i];
      x[i] = allowed[i] ? x[i] : -std::numeric_limits<float>::infinity();
    }
  }
  if (!any) return false;
  const FloatTag d;
  const FloatVector factor = hn::Set(d, scale);
  const FloatVector top = hn::Set(d, extreme_of<true>(x, count) * scale);
  map_line(x, x, count, [&](FloatVector v) { return ExpFast(d, hn::MulSub(v, factor, top)); });
  if (allowed != nullptr) {
    for (std::size_t i = 0; i < count; ++i) x[i] = allowed[i] ? x[i] : 0;
  }
  const FloatVector share = hn::Set(d, 1.0F / sum_of(x, count));
  map_line(x, x, count, [&](FloatVector v) { return hn::Mul(v, share); });
  return true;
}

auto attend_line_of_target() { return attend_line; }

}  // namespace kerf::engine::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <array>
#include <memory>

namespace kerf::engine {
namespace {

HWY_EXPORT(attend_line_of_target);

constexpr std::size_t kMaxSlots = 16;
constexpr double kPackedFloatsPerSecond = 4e9;
constexpr double kScoreSeconds = 6e-10;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// The keys and values of a head are packed once; then the scores of one tile of queries are
// computed, made shares, and multiplied by the values before the next tile's, so that they never
// leave the first caches. Every (sequence, key head, part of its queries) is a task.
class AttentionKernel final : public Kernel {
 public:
  AttentionKernel(const program::Attention& op, const KernelSpec& spec)
      : op_(op), tiles_(&tile_set()), attend_(HWY_DYNAMIC_DISPATCH(attend_line_of_target)()) {
    const Shape& q = spec.operands[0].shape;
    const Shape& k = spec.operands[1].shape;
    const auto size = [](std::int64_t dim) { return static_cast<std::size_t>(dim); };
    heads_ = size(op.heads);
    key_heads_ = size(op.key_heads);
    batch_ = size(q[0]);
    queries_ = size(q[1]);
    keys_ = size(k[1]);
    depth_ = size(q[2]) / heads_;
    width_ = size(spec.operands[2].shape[2]) / key_heads_;
    key_layout_ = PanelLayout(depth_, keys_, tiles_->lanes);
    value_layout_ = PanelLayout(keys_, width_, tiles_->lanes);
    score_stride_ = divide_up(keys_, 16) * 16;
    if (op.mask) {
      const Shape& mask = spec.operands[3].shape;
      std::size_t stride = 1;
      for (std::size_t axis = 4; axis-- > 0;) {
        mask_strides_[axis] = mask[axis] == 1 ? 0 : stride;
        stride *= size(mask[axis]);
      }
    }
    blocks_ = divide_up(queries_, tiles_->rows);
    const std::size_t pairs = batch_ * key_heads_;
    // Packing again for every part has to stay little beside the products.
    parts_ = pairs == 0 || blocks_ == 0
                 ? 1
                 : std::clamp<std::size_t>(divide_up(8, pairs), 1, divide_up(blocks_, 4));
    tasks_ = pairs * parts_;
    slots_ = std::clamp<std::size_t>(tasks_, 1, kMaxSlots);
    const double scores = static_cast<double>(batch_ * heads_) * static_cast<double>(queries_) *
                          static_cast<double>(keys_);
    seconds_ = 2 * scores * static_cast<double>(depth_ + width_) / tiles_->flops_per_second +
               scores * kScoreSeconds +
               static_cast<double>(tasks_ * (key_layout_.floats() + value_layout_.floats())) /
                   kPackedFloatsPerSecond;
  }

  bool run(const KernelRun& run) const noexcept override {
    if (run.pool == nullptr || seconds_ < 2 * kMinimumPartSeconds || slots_ == 1) {
      for (std::size_t i = 0; i < tasks_; ++i) task(run, i, run.scratch);
      return true;
    }
    parallel_for(run.pool, slots_, [&](std::size_t slot) {
      for (std::size_t i = slot * tasks_ / slots_; i < (slot + 1) * tasks_ / slots_; ++i) {
        task(run, i, run.scratch + slot * slot_bytes());
      }
    });
    return true;
  }

  std::size_t scratch_bytes() const noexcept override { return slots_ * slot_bytes(); }
  double estimated_seconds() const noexcept override { return seconds_; }

 private:
  static std::size_t round_up(std::size_t bytes) { return divide_up(bytes, 64) * 64; }
  std::size_t key_bytes() const noexcept { return round_up(key_layout_.floats() * sizeof(float)); }
  std::size_t value_bytes() const noexcept {
    return round_up(value_layout_.floats() * sizeof(float));
  }
  std::size_t slot_bytes() const noexcept {
    return key_bytes() + value_bytes() + tiles_->rows * score_stride_ * sizeof(float) +
           round_up(keys_);
  }

  // Keys [begin, end) that query `i` may look at, without the mask.
  std::size_t first_key(std::size_t i) const noexcept {
    const auto window = static_cast<std::size_t>(op_.window);
    return op_.window == 0 || i < window ? 0 : std::min(i + 1 - window, keys_);
  }
  std::size_t last_key(std::size_t i) const noexcept {
    std::size_t end = keys_;
    if (op_.causal) end = std::min(end, i + 1);
    if (op_.window != 0) end = std::min(end, i + static_cast<std::size_t>(op_.window));
    return end;
  }

  void task(const KernelRun& run, std::size_t index, std::byte* scratch) const noexcept {
    const std::size_t part = index % parts_;
    const std::size_t pair = index / parts_;
    const std::size_t batch = pair / key_heads_;
    const std::size_t head = pair % key_heads_;
    const auto operand = [&](std::size_t i) { return static_cast<const float*>(run.operands[i]); };
    Job job;
    job.run = &run;
    job.keys = reinterpret_cast<float*>(scratch);
    job.values = reinterpret_cast<float*>(scratch + key_bytes());
    job.scores = reinterpret_cast<float*>(scratch + key_bytes() + value_bytes());
    job.allowed = reinterpret_cast<bool*>(job.scores + tiles_->rows * score_stride_);
    key_layout_.pack_transposed(operand(1) + (batch * keys_ * key_heads_ + head) * depth_,
                                key_heads_ * depth_, 0, key_layout_.panels(), job.keys);
    value_layout_.pack(operand(2) + (batch * keys_ * key_heads_ + head) * width_,
                       key_heads_ * width_, 0, value_layout_.panels(), job.values);
    const std::size_t group = heads_ / key_heads_;
    for (std::size_t h = head * group; h < (head + 1) * group; ++h) {
      for (std::size_t block = part * blocks_ / parts_; block < (part + 1) * blocks_ / parts_;
           ++block) {
        attend(job, batch, h, block * queries_ / blocks_, (block + 1) * queries_ / blocks_);
      }
    }
  }

  struct Job {
    const KernelRun* run = nullptr;
    float* keys = nullptr;
    float* values = nullptr;
    float* scores = nullptr;
    bool* allowed = nullptr;
  };

  // Queries [begin, end) of one head: one tile of them.
  void attend(const Job& job, std::size_t batch, std::size_t head, std::size_t begin,
              std::size_t end) const noexcept {
    std::array<const float*, TileSet::kMaxRows> rows{};
    const std::size_t count = end - begin;
    const auto* q = static_cast<const float*>(job.run->operands[0]);
    for (std::size_t m = 0; m < count; ++m) {
      rows[m] = q + ((batch * queries_ + begin + m) * heads_ + head) * depth_;
    }
    // Panels in which some query of the tile may see a key.
    std::size_t last = last_key(end - 1);
    const std::size_t panel_columns = key_layout_.first_column(1);
    std::size_t first = first_key(begin) / panel_columns * panel_columns;
    Tile tile;
    tile.rows = rows.data();
    tile.tap_stride = count;
    tile.depth = depth_;
    tile.out_stride = score_stride_;
    for (std::size_t panel = first / panel_columns; panel * panel_columns < last; ++panel) {
      tile.panel = job.keys + key_layout_.offset(panel);
      tile.columns = key_layout_.columns_of(panel);
      tile.out = job.scores + key_layout_.first_column(panel);
      tiles_->functions[key_layout_.vectors_of(panel) - 1][count - 1](tile);
    }
    std::array<bool, TileSet::kMaxRows> blind{};
    bool any_blind = false;
    for (std::size_t m = 0; m < count; ++m) {
      blind[m] = !share(job, batch, head, begin + m, first, last, m);
      any_blind = any_blind || blind[m];
    }
    if (any_blind) {
      // Equal shares go over all keys, also those that no other query of the tile sees.
      const float equal = op_.blind_is_zero ? 0.0F : 1.0F / static_cast<float>(keys_);
      for (std::size_t m = 0; m < count; ++m) {
        float* const row = job.scores + m * score_stride_;
        if (blind[m]) {
          std::fill_n(row, keys_, equal);
        } else {
          std::fill(row, row + first, 0.0F);
          std::fill(row + last, row + keys_, 0.0F);
        }
      }
      first = 0;
      last = keys_;
    }
    for (std::size_t m = 0; op_.weights && m < count; ++m) {
      const float* const row = job.scores + m * score_stride_;
      float* const to = static_cast<float*>(job.run->results[1]) +
                        ((batch * heads_ + head) * queries_ + begin + m) * keys_;
      std::fill_n(to, first, 0.0F);
      std::copy(row + first, row + last, to + first);
      std::fill(to + last, to + keys_, 0.0F);
    }

    for (std::size_t m = 0; m < count; ++m) rows[m] = job.scores + m * score_stride_ + first;
    tile.depth = last - first;
    tile.out_stride = heads_ * width_;
    auto* y = static_cast<float*>(job.run->results[0]) +
              ((batch * queries_ + begin) * heads_ + head) * width_;
    for (std::size_t panel = 0; panel < value_layout_.panels(); ++panel) {
      const std::size_t vectors = value_layout_.vectors_of(panel);
      tile.panel = job.values + value_layout_.offset(panel) + first * vectors * tiles_->lanes;
      tile.columns = value_layout_.columns_of(panel);
      tile.out = y + value_layout_.first_column(panel);
      tiles_->functions[vectors - 1][count - 1](tile);
    }
  }

  // Makes shares of the scores of query i, in row m, of which [first, last) were computed. False if
  // it may look at no key.
  bool share(const Job& job, std::size_t batch, std::size_t head, std::size_t i, std::size_t first,
             std::size_t last, std::size_t m) const noexcept {
    float* const row = job.scores + m * score_stride_;
    const std::size_t begin = first_key(i);
    const std::size_t end = std::max(last_key(i), begin);
    const bool* allowed = nullptr;
    if (op_.mask) {
      const auto* mask = static_cast<const bool*>(job.run->operands[3]) + batch * mask_strides_[0] +
                         head * mask_strides_[1] + i * mask_strides_[2];
      if (mask_strides_[3] == 1) {
        allowed = mask + begin;
      } else {
        std::fill_n(job.allowed, keys_, *mask);
        allowed = job.allowed + begin;
      }
    }
    if (!attend_(row + begin, allowed, end - begin, op_.scale)) return false;
    std::fill(row + first, row + begin, 0.0F);
    std::fill(row + end, row + last, 0.0F);
    return true;
  }

  program::Attention op_;
  const TileSet* tiles_;
  bool (*attend_)(float*, const bool*, std::size_t, float);
  std::size_t batch_ = 0;
  std::size_t heads_ = 1;
  std::size_t key_heads_ = 1;
  std::size_t queries_ = 0;
  std::size_t keys_ = 0;
  std::size_t depth_ = 0;
  std::size_t width_ = 0;
  PanelLayout key_layout_;
  PanelLayout value_layout_;
  std::size_t score_stride_ = 0;
  std::array<std::size_t, 4> mask_strides_{};
  std::size_t blocks_ = 0;
  std::size_t parts_ = 1;
  std::size_t tasks_ = 0;
  std::size_t slots_ = 1;
  double seconds_ = 0;
};

}  // namespace

KernelPtr make_kernel(const program::Attention& op, const KernelSpec& spec) {
  return std::make_unique<AttentionKernel>(op, spec);
}

}  // namespace kerf::engine
#endif
