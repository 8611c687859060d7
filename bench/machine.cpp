#include "bench/machine.h"

#include <chrono>
#include <memory>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/machine.cpp"
#include "hwy/foreach_target.h"
//
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace kerf::bench::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;

constexpr int kChains = 12;  // that do not wait for one another

// Floating-point operations of `rounds` rounds, and their result, which is to be used.
double multiply_add(std::size_t rounds, float* result) {
  const Tag d;
  hn::Vec<Tag> sums[kChains];
#pragma GCC unroll 12
  for (int i = 0; i < kChains; ++i) sums[i] = hn::Set(d, static_cast<float>(i));
  const auto factor = hn::Set(d, 0.999F);
  const auto summand = hn::Set(d, 1e-9F);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 12
    for (int i = 0; i < kChains; ++i) sums[i] = hn::MulAdd(sums[i], factor, summand);
  }
#pragma GCC unroll 12
  for (int i = 1; i < kChains; ++i) sums[0] = hn::Add(sums[0], sums[i]);
  *result = hn::GetLane(sums[0]);
  return 2.0 * kChains * static_cast<double>(hn::Lanes(d) * rounds);
}

// Reads `count` floats, a multiple of four vectors, once.
float read(const float* from, std::size_t count) {
  const Tag d;
  const std::size_t lanes = hn::Lanes(d);
  auto a = hn::Zero(d);
  auto b = a;
  auto c = a;
  auto e = a;
  for (std::size_t i = 0; i < count; i += 4 * lanes) {
    a = hn::Add(a, hn::Load(d, from + i));
    b = hn::Add(b, hn::Load(d, from + i + lanes));
    c = hn::Add(c, hn::Load(d, from + i + 2 * lanes));
    e = hn::Add(e, hn::Load(d, from + i + 3 * lanes));
  }
  return hn::GetLane(hn::Add(hn::Add(a, b), hn::Add(c, e)));
}

}  // namespace kerf::bench::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <barrier>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

namespace kerf::bench {
namespace {

HWY_EXPORT(multiply_add);
HWY_EXPORT(read);

constexpr int kTurns = 20;
constexpr double kTurnSeconds = 5e-3;

volatile float g_sink;

// What work(thread, rounds) does of something, per second, in each of `threads` threads at once, of
// which the best turns count; `rounds` are those of about a turn.
template <typename Work>
double rate(int threads, const Work& work) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> best(static_cast<std::size_t>(threads));
  std::barrier start(threads);
  const auto measure = [&](std::size_t thread) {
    std::size_t rounds = 1;
    const auto timed = [&] {
      const Clock::time_point begin = Clock::now();
      const double done = work(thread, rounds);
      const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
      return std::pair(done, seconds);
    };
    while (timed().second < kTurnSeconds) rounds *= 2;
    start.arrive_and_wait();
    for (int turn = 0; turn < kTurns; ++turn) {
      const auto [done, seconds] = timed();
      best[thread] = std::max(best[thread], done / seconds);
    }
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < best.size(); ++i) others.emplace_back(measure, i);
  measure(0);
  for (std::thread& other : others) other.join();
  double sum = 0;
  for (const double each : best) sum += each;
  return sum;
}

}  // namespace

double peak_gflops(int threads) {
  return 1e-9 * rate(threads, [](std::size_t, std::size_t rounds) {
           float result = 0;
           const double flops = HWY_DYNAMIC_DISPATCH(multiply_add)(rounds, &result);
           g_sink = result;
           return flops;
         });
}

double read_gigabytes_per_second(int threads, std::size_t bytes) {
  bytes = bytes / 4096 * 4096;
  const std::unique_ptr<void, decltype(&std::free)> memory(
      std::aligned_alloc(4096, bytes * static_cast<std::size_t>(threads)), std::free);
  auto* const floats = static_cast<float*>(memory.get());
  const std::size_t count = bytes / sizeof(float);
  std::fill_n(floats, count * static_cast<std::size_t>(threads), 1.0F);
  return 1e-9 * rate(threads, [&](std::size_t thread, std::size_t rounds) {
           const float* from = floats + thread * count;
           for (std::size_t i = 0; i < rounds; ++i)
             g_sink = HWY_DYNAMIC_DISPATCH(read)(from, count);
           return static_cast<double>(rounds * bytes);
         });
}

}  // namespace kerf::bench
#endif
