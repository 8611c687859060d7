#pragma once

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <vector>

// Timing two things against each other on a machine that others use too: short turns, taken
// alternately, and of each turn the fastest batch, which nothing interrupted.
namespace kerf::bench {

// What passes of it is measured: time, or this thread's time on a core, which is the same where
// nobody else wants the core, and right where somebody does. Work on other threads is not in it.
enum class Clock { kTime, kThread };

inline double now(Clock clock) {
  timespec time{};
  clock_gettime(clock == Clock::kTime ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

// Seconds of one call of `body`: the fastest batch of calls within about `seconds`, at least three.
// A batch takes about a millisecond, or is one call where that takes longer.
template <typename Body>
double fastest_call(Clock clock, double seconds, const Body& body) {
  double start = now(clock);
  body();
  const double once = now(clock) - start;
  const auto calls =
      std::max<std::size_t>(static_cast<std::size_t>(1e-3 / std::max(once, 1e-8)), 1);
  double fastest = once;
  const double end = now(Clock::kTime) + seconds;
  for (int batch = 0; batch < 3 || now(Clock::kTime) < end; ++batch) {
    start = now(clock);
    for (std::size_t i = 0; i < calls; ++i) body();
    fastest = std::min(fastest, (now(clock) - start) / static_cast<double>(calls));
  }
  return fastest;
}

struct Comparison {
  double first = 0;   // seconds of one call, the median over rounds
  double second = 0;  // likewise
  double ratio = 0;   // second / first, the median over rounds of the ratio in each
  double lowest = 0;  // the same, of the extreme rounds
  double highest = 0;
};

inline double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

template <typename First, typename Second>
Comparison compare(Clock clock, int rounds, double seconds, const First& first,
                   const Second& second) {
  std::vector<double> of_first;
  std::vector<double> of_second;
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    of_first.push_back(fastest_call(clock, seconds, first));
    of_second.push_back(fastest_call(clock, seconds, second));
    ratios.push_back(of_second.back() / of_first.back());
  }
  return {.first = median(of_first),
          .second = median(of_second),
          .ratio = median(ratios),
          .lowest = std::ranges::min(ratios),
          .highest = std::ranges::max(ratios)};
}

}  // namespace kerf::bench
