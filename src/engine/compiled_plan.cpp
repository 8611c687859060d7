#include "engine/compiled_plan.h"

#include <chrono>
#include <cstring>

#include "engine/parallel.h"

namespace kerf::engine {

std::size_t CompiledPlan::table_bytes(std::size_t places, std::size_t feeds, std::size_t fetches) {
  const std::size_t bytes = (places + Place::kFirstFeed + feeds + fetches) * sizeof(void*);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

RunStatus CompiledPlan::run(std::span<const void* const> feeds, std::span<void* const> fetches,
                            void* workspace, ThreadPool* pool,
                            std::vector<ProfileEntry>* profile) const {
  using Clock = std::chrono::steady_clock;
  const std::size_t count = parts_.places.size();
  auto** const table = static_cast<void**>(workspace);
  auto* const bases = reinterpret_cast<std::uintptr_t*>(table + count);
  bases[Place::kAbsolute] = 0;
  bases[Place::kWorkspace] = reinterpret_cast<std::uintptr_t>(workspace);
  std::uintptr_t* base = bases + Place::kFirstFeed;
  for (const void* feed : feeds) *base++ = reinterpret_cast<std::uintptr_t>(feed);
  for (void* fetch : fetches) *base++ = reinterpret_cast<std::uintptr_t>(fetch);
  for (std::size_t i = 0; i < count; ++i) {
    const Place& place = parts_.places[i];
    table[i] = reinterpret_cast<void*>(bases[place.base] + place.offset);
  }

  RunStatus status;
  if (pool != nullptr &&
      (pool->thread_count() < 2 || parts_.estimated_seconds < 2 * kMinimumPartSeconds)) {
    pool = nullptr;
  }
  const ThreadPool::Run one_more(pool);
  if (profile != nullptr) {
    profile->clear();
    profile->reserve(parts_.steps.size());
  }
  for (const Step& step : parts_.steps) {
    void** const arguments = table + step.first;
    const KernelRun arguments_of_step{
        .operands = arguments,
        .results = arguments + step.operands,
        .scratch = static_cast<std::byte*>(arguments[step.operands + step.results]),
        .pool = pool,
        .failure = &status.message};
    const Clock::time_point start = profile != nullptr ? Clock::now() : Clock::time_point{};
    if (!step.kernel->run(arguments_of_step)) {
      status.ok = false;
      status.source = step.entry.source;
      return status;
    }
    if (profile != nullptr) {
      profile->push_back(step.entry);
      profile->back().seconds = std::chrono::duration<double>(Clock::now() - start).count();
    }
  }
  for (const FetchCopy& copy : parts_.copies) {
    std::memcpy(table[copy.first + 1], table[copy.first], copy.bytes);
  }
  return status;
}

}  // namespace kerf::engine
