#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "engine/plan.h"
#include "engine/thread_pool.h"
#include "kerf/tensor.h"
#include "program/program.h"
#include "tests/support/run_memory.h"

namespace kerf::engine {

// Tensors of reproducible numbers.
class Random {
 public:
  explicit Random(unsigned seed = 1) : engine_(seed) {}

  std::int64_t integer(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }
  // Floats of [-4, 4), integers of [0, 100), bools.
  Tensor tensor(DType dtype, const Shape& shape) {
    std::vector<double> numbers(static_cast<std::size_t>(shape.element_count()));
    for (double& number : numbers) {
      number = dtype == DType::kBool ? static_cast<double>(integer(0, 1))
               : is_floating(dtype)  ? static_cast<double>(integer(-40000, 39999)) * 1e-4
                                     : static_cast<double>(integer(0, 99));
    }
    return Tensor::of<double>(DType::kFloat64, shape, numbers).cast(dtype);
  }
  Tensor floats(const Shape& shape) { return tensor(DType::kFloat32, shape); }

 private:
  std::mt19937 engine_;
};

// Memory at an address that is a multiple of `alignment` and of no larger power of two, between
// bytes that must not change.
class Guarded {
 public:
  Guarded(std::size_t bytes, std::size_t alignment, std::span<const std::byte> content = {})
      : bytes_(bytes), storage_(bytes + kMargin * 2, kGuard) {
    auto address = reinterpret_cast<std::uintptr_t>(storage_.data() + kMargin / 2);
    while (address % (2 * alignment) != alignment) ++address;
    start_ = reinterpret_cast<std::byte*>(address);
    if (!content.empty()) std::memcpy(start_, content.data(), content.size());
  }
  std::byte* data() { return start_; }
  Tensor tensor(const program::ValueType& type) const {
    return testing_support::run_result(type, {start_, bytes_});
  }
  bool intact() const {
    for (const std::byte* p = storage_.data(); p != storage_.data() + storage_.size(); ++p) {
      if ((p < start_ || p >= start_ + bytes_) && *p != kGuard) return false;
    }
    return true;
  }

 private:
  static constexpr std::byte kGuard{0xA5};
  static constexpr std::size_t kMargin = 256;
  std::size_t bytes_;
  std::vector<std::byte> storage_;
  std::byte* start_;
};

inline std::size_t alignment_of(DType dtype) {
  return dtype == DType::kString ? alignof(std::string_view) : dtype_size(dtype);
}

struct Outcome {
  RunStatus status;
  std::vector<Tensor> fetches;
};

// Runs a plan on memory as awkward as its contract allows: feeds and fetches aligned to their dtype
// alone, fetches and workspace full of NaN, everything guarded.
inline Outcome run_plan(const Plan& plan, std::span<const Tensor> feeds,
                        ThreadPool* pool = nullptr) {
  std::vector<Guarded> in;
  std::vector<Guarded> out;
  std::vector<const void*> feed_pointers;
  std::vector<void*> fetch_pointers;
  std::vector<std::vector<std::byte>> given;
  for (const Tensor& feed : feeds) {
    given.push_back(testing_support::run_memory(feed));
    in.emplace_back(given.back().size(), alignment_of(feed.dtype()), given.back());
    feed_pointers.push_back(in.back().data());
  }
  for (const program::ValueType& type : plan.fetches()) {
    const std::size_t bytes =
        static_cast<std::size_t>(type.shape.element_count()) * element_size(type.dtype);
    out.emplace_back(bytes, alignment_of(type.dtype));
    std::memset(out.back().data(), 0xFF, bytes);
    fetch_pointers.push_back(out.back().data());
  }
  Guarded workspace(plan.workspace_bytes(), Plan::kAlignment);
  std::memset(workspace.data(), 0xFF, plan.workspace_bytes());
  Outcome outcome{plan.run(feed_pointers, fetch_pointers, workspace.data(), pool), {}};
  EXPECT_TRUE(workspace.intact());
  for (std::size_t i = 0; i < in.size(); ++i) {
    EXPECT_TRUE(in[i].intact());
    EXPECT_EQ(0, given[i].empty() ? 0 : std::memcmp(in[i].data(), given[i].data(), given[i].size()))
        << "feed " << i << " was written to";
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    EXPECT_TRUE(out[i].intact()) << "fetch " << i;
    outcome.fetches.push_back(out[i].tensor(plan.fetches()[i]));
  }
  return outcome;
}

inline std::vector<Shape> shapes_of(std::span<const Tensor> tensors) {
  std::vector<Shape> shapes;
  for (const Tensor& tensor : tensors) shapes.push_back(tensor.shape());
  return shapes;
}

inline std::shared_ptr<const Plan> compile(program::Program program,
                                           std::span<const Shape> shapes) {
  program::ConstantCache cache;
  return Plan::compile(std::make_shared<program::Program>(std::move(program)), shapes, cache);
}

inline std::vector<Tensor> run_program(program::Program program, std::span<const Tensor> feeds,
                                       ThreadPool* pool = nullptr) {
  const auto plan = compile(std::move(program), shapes_of(feeds));
  Outcome outcome = run_plan(*plan, feeds, pool);
  EXPECT_TRUE(outcome.status.ok) << outcome.status.source << ": " << outcome.status.message;
  return std::move(outcome.fetches);
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.byte_size() == 0 || std::memcmp(a.data(), b.data(), a.byte_size()) == 0);
}

// Equal types, and numbers within `tolerance` of the largest magnitude in `expected`, or of `least`
// where that is more; NaN and infinities where it has them.
inline void expect_near(const Tensor& got, const Tensor& expected, double tolerance = 1e-6,
                        double least = 0) {
  ASSERT_EQ(got.dtype(), expected.dtype());
  ASSERT_EQ(got.shape(), expected.shape());
  const Tensor wide_got = got.cast(DType::kFloat64);
  const Tensor wide_expected = expected.cast(DType::kFloat64);
  const auto x = wide_got.as<double>();
  const auto y = wide_expected.as<double>();
  double largest = least;
  for (const double number : y) {
    if (std::isfinite(number)) largest = std::fmax(largest, std::fabs(number));
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(y[i]) ? std::isnan(x[i]) : x[i] == y[i]) continue;
    ASSERT_LE(std::fabs(x[i] - y[i]), tolerance * largest)
        << "element " << i << " of " << expected.shape().to_string() << " is " << x[i] << ", not "
        << y[i];
  }
}

}  // namespace kerf::engine
