#include "cli/latencies.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace kerf::cli {

// Below 2^kSteps a bucket is one value. Above, the bits after the leading one choose the bucket.
void Latencies::add(std::uint64_t nanoseconds) noexcept {
  std::size_t bucket = nanoseconds;
  if (nanoseconds >> kSteps != 0) {
    const auto shift = static_cast<unsigned>(std::bit_width(nanoseconds)) - kSteps - 1;
    bucket = (static_cast<std::size_t>(shift) << kSteps) + (nanoseconds >> shift);
  }
  ++buckets_[bucket];
  ++count_;
  max_ = std::max(max_, nanoseconds);
  sum_ += static_cast<double>(nanoseconds);
}

void Latencies::add(const Latencies& others) noexcept {
  for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += others.buckets_[i];
  count_ += others.count_;
  max_ = std::max(max_, others.max_);
  sum_ += others.sum_;
}

double Latencies::mean() const noexcept {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

double Latencies::quantile(double q) const noexcept {
  if (count_ == 0) return 0;
  const double rank = q * static_cast<double>(count_ - 1);
  std::uint64_t below = 0;
  std::size_t bucket = 0;
  while (static_cast<double>(below + buckets_[bucket]) <= rank) below += buckets_[bucket++];
  if (bucket >> (kSteps + 1) == 0) return static_cast<double>(bucket);
  const auto shift = static_cast<unsigned>(bucket >> kSteps) - 1;
  const double low = std::ldexp(static_cast<double>(bucket - (std::size_t{shift} << kSteps)),
                                static_cast<int>(shift));
  const double middle = low + std::ldexp(0.5, static_cast<int>(shift));
  return std::min(middle, static_cast<double>(max_));
}

}  // namespace kerf::cli
