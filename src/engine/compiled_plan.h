#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/kernel.h"
#include "engine/plan.h"

namespace kerf::engine {

// Where an argument of a kernel lies: `offset` bytes into one of a run's bases.
struct Place {
  // kAbsolute: `offset` is the address (a constant). The feeds follow kWorkspace, then the fetches.
  static constexpr std::uint32_t kAbsolute = 0;
  static constexpr std::uint32_t kWorkspace = 1;
  static constexpr std::uint32_t kFirstFeed = 2;
  std::uint32_t base = kAbsolute;
  std::uintptr_t offset = 0;
};

// One kernel and its arguments: `places[first...]` are its operands, its results, its scratch.
struct Step {
  KernelPtr kernel;
  std::uint32_t first = 0;
  std::uint32_t operands = 0;
  std::uint32_t results = 0;
  ProfileEntry entry;  // what a profile says of it, without the time
};

// A fetch that no kernel writes: a feed, a constant, or a value fetched twice. Its source and
// target are places[first] and places[first + 1].
struct FetchCopy {
  std::uint32_t first = 0;
  std::size_t bytes = 0;
};

// The plan that compile() makes. The workspace starts with the table of argument pointers, which
// every run fills for itself, and the run's bases; the buffers follow.
class CompiledPlan final : public Plan {
 public:
  struct Parts {
    std::shared_ptr<const program::Program> program;  // its instructions are what runs
    std::vector<Tensor> kept;                         // the constants that places point to
    std::vector<program::ValueType> feeds;
    std::vector<program::ValueType> fetches;
    std::vector<Place> places;
    std::vector<Step> steps;
    std::vector<FetchCopy> copies;
    std::size_t workspace_bytes = 0;
    double flops = 0;
    double estimated_seconds = 0;
  };
  explicit CompiledPlan(Parts parts) noexcept : parts_(std::move(parts)) {}

  // Bytes at the start of the workspace that precede the buffers.
  static std::size_t table_bytes(std::size_t places, std::size_t feeds, std::size_t fetches);

  std::span<const program::ValueType> feeds() const noexcept override { return parts_.feeds; }
  std::span<const program::ValueType> fetches() const noexcept override { return parts_.fetches; }
  std::size_t workspace_bytes() const noexcept override { return parts_.workspace_bytes; }
  double flops() const noexcept override { return parts_.flops; }
  double estimated_seconds() const noexcept override { return parts_.estimated_seconds; }
  RunStatus run(std::span<const void* const> feeds, std::span<void* const> fetches, void* workspace,
                ThreadPool* pool, std::vector<ProfileEntry>* profile) const override;

 private:
  Parts parts_;
};

}  // namespace kerf::engine
