#pragma once

#include <array>
#include <cstdint>

namespace kerf::cli {

// A histogram of durations in nanoseconds whose buckets are 1/32 of a power of two wide, so that a
// quantile is right within 3% while millions of runs a second cost no memory. Used by one thread.
class Latencies {
 public:
  void add(std::uint64_t nanoseconds) noexcept;
  void add(const Latencies& others) noexcept;

  std::uint64_t count() const noexcept { return count_; }
  std::uint64_t max() const noexcept { return max_; }
  double mean() const noexcept;
  // The duration that a share `q` of all stay below, 0 to 1; 0 if there is none.
  double quantile(double q) const noexcept;

 private:
  static constexpr unsigned kSteps = 5;  // log2 of the buckets per power of two
  std::array<std::uint64_t, (64 - kSteps + 1) << kSteps> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace kerf::cli
