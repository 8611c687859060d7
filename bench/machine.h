#pragma once

#include <cstddef>

// What this machine can do at most, to hold other figures against.
namespace kerf::bench {

// Float multiply-adds in registers, as GFLOP/s of `threads` threads together.
double peak_gflops(int threads);
// Reading `bytes` again and again in each of `threads` threads, as GB/s of all together.
double read_gigabytes_per_second(int threads, std::size_t bytes);

}  // namespace kerf::bench
