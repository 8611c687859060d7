#include <utility>

#include "model/impl.h"

namespace kerf {

Threads::Threads(unsigned count) : impl_(std::make_shared<Impl>(count)) {}
unsigned Threads::count() const noexcept { return impl_->pool.thread_count(); }

Workspace::Workspace() : impl_(std::make_unique<Impl>()) {}
Workspace::~Workspace() = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;

const std::vector<TensorInfo>& Plan::feeds() const noexcept { return impl_->feeds; }
const std::vector<TensorInfo>& Plan::fetches() const noexcept { return impl_->fetches; }
double Plan::flops() const noexcept { return impl_->plan->flops(); }
double Plan::estimated_seconds() const noexcept { return impl_->plan->estimated_seconds(); }

void Plan::run(std::span<const void* const> feeds, std::span<void* const> fetches,
               Workspace& workspace, const Threads* threads) const {
  void* memory = workspace.impl_->memory.reserve(impl_->plan->workspace_bytes());
  engine::ThreadPool* pool = threads != nullptr ? &threads->impl_->pool : nullptr;
  engine::RunStatus status = impl_->plan->run(feeds, fetches, memory, pool);
  if (!status.ok) {
    throw Error(ErrorCode::kInvalidArgument, std::move(status.message), std::move(status.source));
  }
}

std::vector<ProfileEntry> Plan::profile(std::span<const void* const> feeds,
                                        std::span<void* const> fetches, Workspace& workspace,
                                        const Threads* threads) const {
  void* memory = workspace.impl_->memory.reserve(impl_->plan->workspace_bytes());
  engine::ThreadPool* pool = threads != nullptr ? &threads->impl_->pool : nullptr;
  std::vector<engine::ProfileEntry> entries;
  engine::RunStatus status = impl_->plan->run(feeds, fetches, memory, pool, &entries);
  if (!status.ok) {
    throw Error(ErrorCode::kInvalidArgument, std::move(status.message), std::move(status.source));
  }
  std::vector<ProfileEntry> result;
  result.reserve(entries.size());
  for (engine::ProfileEntry& entry : entries) {
    result.push_back({.layer = std::move(entry.source),
                      .op = std::move(entry.op),
                      .seconds = entry.seconds,
                      .flops = entry.flops});
  }
  return result;
}

}  // namespace kerf
