#include <fmt/format.h>

#include <charconv>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/kernel.h"
#include "engine/kernels/axes.h"
#include "engine/parallel.h"
#include "program/fingerprint.h"
#include "program/lookup_table.h"

// Lookup, Hash and CrossHash: a number for each string or integer.
namespace kerf::engine {
namespace {

using program::LookupTable;

constexpr double kSecondsPerKey = 2e-8;

// An integer hashes as its digits do.
class Digits {
 public:
  explicit Digits(std::int64_t value) noexcept
      : end_(std::to_chars(text_, text_ + sizeof(text_), value).ptr) {}
  std::string_view view() const noexcept { return {text_, static_cast<std::size_t>(end_ - text_)}; }

 private:
  char text_[20];
  char* end_;
};

template <typename Hash>
std::uint64_t hash_of(std::string_view text, const Hash& hash) noexcept {
  return hash(text);
}
template <typename Hash>
std::uint64_t hash_of(std::int64_t value, const Hash& hash) noexcept {
  return hash(Digits(value).view());
}

std::string shown(std::int64_t key) { return fmt::format("{}", key); }
std::string shown(std::string_view key) {
  constexpr std::size_t kLongest = 64;
  return fmt::format("'{}'{}", key.substr(0, kLongest), key.size() > kLongest ? "..." : "");
}

template <typename Key>
class LookupKernel final : public Kernel {
 public:
  LookupKernel(const program::Lookup& op, const KernelSpec& spec)
      : op_(op),
        table_(spec.constants[1].elements().data()),
        count_(element_count(spec.operands[0])) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const Key*>(run.operands[0]);
    auto* y = static_cast<std::int64_t*>(run.results[0]);
    parallel_ranges(run.pool, count_, estimated_seconds(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const std::int64_t* value = table_.find(x[i]);
        y[i] = value != nullptr ? *value : unknown(x[i]);
      }
    });
    if (op_.buckets != 0) return true;
    // Which of several is reported does not depend on the threads.
    for (std::size_t i = 0; i < count_; ++i) {
      if (y[i] != kMissing || table_.find(x[i]) != nullptr) continue;
      *run.failure = fmt::format(
          "element {}, {}, is not in the vocabulary, and the layer has no index for what is not "
          "(num_oov_indices is 0)",
          i, shown(x[i]));
      return false;
    }
    return true;
  }

  double estimated_seconds() const noexcept override {
    return static_cast<double>(count_) * kSecondsPerKey;
  }

 private:
  static constexpr std::int64_t kMissing = -1;

  std::int64_t unknown(const Key& key) const noexcept {
    if (op_.buckets == 0) return kMissing;
    if (op_.buckets == 1) return op_.first;
    if constexpr (std::is_integral_v<Key>) {
      if (op_.modulo) {
        const std::int64_t rest = key % op_.buckets;
        return op_.first + (rest < 0 ? rest + op_.buckets : rest);
      }
    }
    return op_.first + static_cast<std::int64_t>(hash_of(key, program::fingerprint) %
                                                 static_cast<std::uint64_t>(op_.buckets));
  }

  program::Lookup op_;
  LookupTable table_;
  std::size_t count_;
};

template <typename Key>
class HashKernel final : public Kernel {
 public:
  HashKernel(const program::Hash& op, const KernelSpec& spec)
      : op_(op), count_(element_count(spec.operands[0])) {}

  bool run(const KernelRun& run) const noexcept override {
    const auto* x = static_cast<const Key*>(run.operands[0]);
    auto* y = static_cast<std::int64_t*>(run.results[0]);
    const auto buckets = static_cast<std::uint64_t>(op_.buckets);
    parallel_ranges(run.pool, count_, estimated_seconds(), [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) {
        const std::uint64_t hash =
            op_.key ? hash_of(x[i],
                              [&](std::string_view t) { return program::keyed_hash(t, *op_.key); })
                    : hash_of(x[i], program::fingerprint);
        y[i] = static_cast<std::int64_t>(hash % buckets);
      }
    });
    return true;
  }

  double estimated_seconds() const noexcept override {
    return static_cast<double>(count_) * kSecondsPerKey;
  }

 private:
  program::Hash op_;
  std::size_t count_;
};

class CrossHashKernel final : public Kernel {
 public:
  CrossHashKernel(const program::CrossHash& op, const KernelSpec& spec)
      : buckets_(static_cast<std::uint64_t>(op.buckets)), count_(element_count(spec.results[0])) {
    for (const program::ValueType& type : spec.operands) {
      strings_.push_back(type.dtype == DType::kString);
    }
  }

  bool run(const KernelRun& run) const noexcept override {
    auto* y = static_cast<std::int64_t*>(run.results[0]);
    for (std::size_t i = 0; i < count_; ++i) {
      std::uint64_t hash = program::kFirstFingerprint;
      for (std::size_t n = 0; n < strings_.size(); ++n) {
        const std::uint64_t feature =
            strings_[n]
                ? program::fingerprint(static_cast<const std::string_view*>(run.operands[n])[i])
                : static_cast<const std::uint64_t*>(run.operands[n])[i];
        hash = program::join_fingerprints(hash, feature);
      }
      y[i] = static_cast<std::int64_t>(hash % buckets_);
    }
    return true;
  }

  double estimated_seconds() const noexcept override {
    return static_cast<double>(count_ * strings_.size()) * kSecondsPerKey;
  }

 private:
  std::uint64_t buckets_;
  std::size_t count_;
  std::vector<bool> strings_;  // by operand
};

}  // namespace

KernelPtr make_kernel(const program::Lookup& op, const KernelSpec& spec) {
  if (spec.operands[0].dtype == DType::kString) {
    return std::make_unique<LookupKernel<std::string_view>>(op, spec);
  }
  return std::make_unique<LookupKernel<std::int64_t>>(op, spec);
}

KernelPtr make_kernel(const program::Hash& op, const KernelSpec& spec) {
  if (spec.operands[0].dtype == DType::kString) {
    return std::make_unique<HashKernel<std::string_view>>(op, spec);
  }
  return std::make_unique<HashKernel<std::int64_t>>(op, spec);
}

KernelPtr make_kernel(const program::CrossHash& op, const KernelSpec& spec) {
  return std::make_unique<CrossHashKernel>(op, spec);
}

}  // namespace kerf::engine
