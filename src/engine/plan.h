#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kerf/precision.h"
#include "kerf/tensor.h"
#include "program/program.h"

namespace kerf::engine {

class ThreadPool;

// How a run ended. Nothing throws while a plan runs.
struct RunStatus {
  bool ok = true;
  // For !ok: what was wrong with the data ("id 1041 is outside the table of 1000 rows") and which
  // layer call met it.
  std::string message;
  std::string source;
};

// Time one instruction took, for `kerf bench --profile`.
struct ProfileEntry {
  std::string source;  // layer call address
  std::string op;      // with its fused parts, e.g. "Conv+bias+relu"
  double seconds = 0;
  double flops = 0;
};

struct CompileOptions {
  std::size_t memory_limit = std::size_t{1} << 34;  // bytes
  Precision precision = Precision::kFloat32;        // of constant matrices
  // False: once it is packed, a matrix is held in that precision alone, for other plans as well.
  bool keep_exact = true;
};

// A program compiled for concrete shapes: kernels chosen, weights packed, memory laid out.
// Immutable; any number of threads may run one Plan at once, each with a workspace of its own. A
// run allocates nothing.
class Plan {
 public:
  // `feed_shapes` are concrete, in the program's order. Packed weights come from, and stay in,
  // `cache`. Throws Error(kInvalidArgument) for shapes that do not fit, Error(kResourceExhausted)
  // where sizes overflow, or one tensor, or what a run needs at once with its fetches, exceeds the
  // memory limit.
  static std::shared_ptr<const Plan> compile(std::shared_ptr<const program::Program> program,
                                             std::span<const Shape> feed_shapes,
                                             program::ConstantCache& cache,
                                             const CompileOptions& options = {});
  virtual ~Plan() = default;

  virtual std::span<const program::ValueType> feeds() const noexcept = 0;
  virtual std::span<const program::ValueType> fetches() const noexcept = 0;
  // Bytes a run needs beside its feeds and fetches, aligned to kAlignment.
  virtual std::size_t workspace_bytes() const noexcept = 0;
  // What a run costs, for scheduling: floating-point operations and a rough time on one core.
  virtual double flops() const noexcept = 0;
  virtual double estimated_seconds() const noexcept = 0;

  // Runs on the calling thread, and on `pool`'s where it is given and that pays. feeds[i] points to
  // dense elements of feeds()[i] (any alignment that the dtype allows), fetches[i] to room for
  // fetches()[i]; they must not overlap. Strings are std::string_views of characters that no run
  // copies: those of a fetch lie in the feeds' memory or in the program's constants. `workspace`
  // holds workspace_bytes(), kAlignment-aligned.
  virtual RunStatus run(std::span<const void* const> feeds, std::span<void* const> fetches,
                        void* workspace, ThreadPool* pool = nullptr,
                        std::vector<ProfileEntry>* profile = nullptr) const = 0;

  static constexpr std::size_t kAlignment = 64;
};

// Memory for one run at a time of any plan; grows to the largest need and is reused. One thread.
class Workspace {
 public:
  Workspace() = default;
  Workspace(Workspace&&) noexcept = default;
  Workspace& operator=(Workspace&&) noexcept = default;
  void* reserve(std::size_t bytes);

 private:
  struct Free {
    void operator()(void* pointer) const noexcept;
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t capacity_ = 0;
};

}  // namespace kerf::engine
