#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/kernels/tokens.h"
#include "engine/parallel.h"
#include "program/lookup_table.h"

// TokenIds and TokenCounts: what a vocabulary knows of the tokens of texts.
namespace kerf::engine {
namespace {

using program::LookupTable;

// A text of a few sentences.
constexpr double kSecondsPerText = 4e-6;

// What the kernels below have in common.
class TextKernel : public Kernel {
 public:
  TextKernel(const program::Tokens& tokens, std::size_t longest, const KernelSpec& spec)
      : walker_(tokens, longest),
        texts_(element_count(spec.operands[0])),
        scratch_(walker_.scratch_bytes()) {}

  // Each text has memory of its own, so that they may be walked at once.
  std::size_t scratch_bytes() const noexcept override { return scratch_ * texts_; }
  double estimated_seconds() const noexcept override {
    return static_cast<double>(texts_) * kSecondsPerText;
  }

 protected:
  template <typename Row>
  bool for_each_text(const KernelRun& run, const Row& row) const noexcept {
    const auto* texts = static_cast<const std::string_view*>(run.operands[0]);
    parallel_ranges(run.pool, texts_, estimated_seconds(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) row(texts[i], run.scratch + i * scratch_, i);
    });
    return true;
  }
  const TokenWalker& walker() const noexcept { return walker_; }

 private:
  TokenWalker walker_;
  std::size_t texts_;
  std::size_t scratch_;
};

class TokenIdsKernel final : public TextKernel {
 public:
  TokenIdsKernel(const program::TokenIds& op, const LookupTable& table, const KernelSpec& spec)
      : TextKernel(op.tokens, table.longest(), spec),
        table_(table),
        unknown_(op.unknown),
        length_(static_cast<std::size_t>(spec.results[0].shape[1])) {}

  bool run(const KernelRun& run) const noexcept override {
    auto* y = static_cast<std::int64_t*>(run.results[0]);
    return for_each_text(run, [&](std::string_view text, std::byte* scratch, std::size_t i) {
      std::int64_t* out = y + i * length_;
      std::int64_t* const end = out + length_;
      walker().walk(text, scratch, [&](const std::string_view* token) {
        const std::int64_t* value = token != nullptr ? table_.find(*token) : nullptr;
        *out++ = value != nullptr ? *value : unknown_;
        return out != end;
      });
      std::fill(out, end, 0);
    });
  }

 private:
  LookupTable table_;
  std::int64_t unknown_;
  std::size_t length_;  // at least 1: there is no kernel for empty results
};

class TokenCountsKernel final : public TextKernel {
 public:
  TokenCountsKernel(const program::TokenCounts& op, const LookupTable& table,
                    const KernelSpec& spec)
      : TextKernel(op.tokens, table.longest(), spec),
        table_(table),
        unknown_(op.unknown),
        depth_(op.depth) {}

  bool run(const KernelRun& run) const noexcept override {
    auto* y = static_cast<float*>(run.results[0]);
    return for_each_text(run, [&](std::string_view text, std::byte* scratch, std::size_t i) {
      float* const counts = y + i * static_cast<std::size_t>(depth_);
      std::fill(counts, counts + depth_, 0.0F);
      walker().walk(text, scratch, [&](const std::string_view* token) {
        const std::int64_t* value = token != nullptr ? table_.find(*token) : nullptr;
        const std::int64_t known = value != nullptr ? *value : unknown_;
        if (known >= 0 && known < depth_) counts[known] += 1;
        return true;
      });
    });
  }

 private:
  LookupTable table_;
  std::int64_t unknown_;
  std::int64_t depth_;
};

}  // namespace

KernelPtr make_kernel(const program::TokenIds& op, const KernelSpec& spec) {
  return std::make_unique<TokenIdsKernel>(op, LookupTable(spec.constants[1].elements().data()),
                                          spec);
}

KernelPtr make_kernel(const program::TokenCounts& op, const KernelSpec& spec) {
  return std::make_unique<TokenCountsKernel>(op, LookupTable(spec.constants[1].elements().data()),
                                             spec);
}

}  // namespace kerf::engine
