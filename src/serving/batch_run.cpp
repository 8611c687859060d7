#include "serving/batch_run.h"

#include <cstring>
#include <exception>

#include "serving/scheduler.h"

namespace kerf::serving {
namespace {

// What one row of the batch has of a tensor of its plan.
std::size_t row_bytes(const TensorInfo& tensor, std::int64_t rows) {
  return Call::byte_size(tensor) / static_cast<std::size_t>(rows);
}

}  // namespace

void BatchRun::gather(std::span<Call* const> calls, std::int64_t rows) {
  std::size_t bytes = 0;
  for (const TensorInfo& tensor : plan_.feeds()) {
    bytes += AlignedMemory::aligned(Call::byte_size(tensor));
  }
  for (const TensorInfo& tensor : plan_.fetches()) {
    bytes += AlignedMemory::aligned(Call::byte_size(tensor));
  }
  std::byte* next = memory_.reserve(bytes);
  feed_pointers_.clear();
  fetch_pointers_.clear();
  for (std::size_t i = 0; i < plan_.feeds().size(); ++i) {
    const std::size_t size = Call::byte_size(plan_.feeds()[i]);
    const std::size_t row = row_bytes(plan_.feeds()[i], rows);
    std::byte* to = next;
    for (const Call* call : calls) {
      const std::size_t part = row * static_cast<std::size_t>(call->target().rows);
      std::memcpy(to, call->fed(i), part);
      to += part;
    }
    // What is missing to the bucket repeats a row that is there: it is computed as safely.
    for (; to < next + size; to += row) std::memcpy(to, next, row);
    feed_pointers_.push_back(next);
    next += AlignedMemory::aligned(size);
  }
  for (const TensorInfo& tensor : plan_.fetches()) {
    fetch_pointers_.push_back(next);
    next += AlignedMemory::aligned(Call::byte_size(tensor));
  }
}

void BatchRun::scatter(std::span<Call* const> calls, std::int64_t rows) noexcept {
  for (std::size_t i = 0; i < plan_.fetches().size(); ++i) {
    const std::size_t row = row_bytes(plan_.fetches()[i], rows);
    const auto* from = static_cast<const std::byte*>(fetch_pointers_[i]);
    for (Call* call : calls) {
      const std::size_t part = row * static_cast<std::size_t>(call->target().rows);
      std::memcpy(call->fetch_memory(i), from, part);
      from += part;
    }
  }
}

bool BatchRun::run(Batch& batch, std::span<Call* const> calls,
                   const Scheduler& scheduler) noexcept {
  constexpr std::size_t kKept = std::size_t{16} << 20;
  std::int64_t rows = 0;
  for (const Call* call : calls) rows += call->target().rows;
  const std::int64_t given = rows;
  try {
    const std::size_t bucket = Batch::bucket_of(rows);
    rows = kBucketRows[bucket];
    plan_ = batch.plan(bucket);
    gather(calls, rows);
    thread_local Workspace workspace;
    const Clock::time_point start = Clock::now();
    const Target& target = calls.front()->target();
    const Threads* helpers = scheduler.helpers_for(plan_);
    if (target.cached) {
      target.cached->run(rows, feed_pointers_, fetch_pointers_, workspace, helpers);
    } else {
      plan_.run(feed_pointers_, fetch_pointers_, workspace, helpers);
    }
    target.statistics->count_run(Clock::now() - start, given);
  } catch (const std::exception&) {
    return false;
  }
  scatter(calls, rows);
  memory_.shrink(kKept);
  plan_ = {};
  return true;
}

}  // namespace kerf::serving
