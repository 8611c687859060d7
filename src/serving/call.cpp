#include "serving/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "serving/scheduler.h"

namespace kerf::serving {
void Call::begin(const std::shared_ptr<const ServedModel>& model) {
  if (model_ != model) {
    clear();
    model_ = model;
  }
  reset_job();
  error_.reset();
  targeted_ = false;
  counted_ = false;
  feed_names_.clear();
  feed_shapes_.clear();
  fetch_names_.clear();
  // What one large call took is given back.
  constexpr std::size_t kKept = std::size_t{1} << 18;
  memory_.shrink(kKept);
}

void Call::clear() noexcept {
  error_.reset();
  target_.reset();
  model_.reset();
  memory_.clear();
}

void Call::feed(std::string_view name, const Shape& shape) {
  const Limits& limits = model_->limits();
  if (feed_names_.size() == limits.tensors_per_call) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("a request feeds at most {} tensors", limits.tensors_per_call));
  }
  if (std::ranges::find(feed_names_, name) != feed_names_.end()) {
    throw Error(ErrorCode::kInvalidArgument, "it is given twice", fmt::format("input {}", name));
  }
  const auto count = static_cast<std::size_t>(shape.element_count());
  if (count > limits.tensor_elements) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("shape {} has {} elements, more than this server's limit of {}",
                            shape.to_string(), count, limits.tensor_elements),
                fmt::format("input {}", name));
  }
  feed_names_.push_back(name);
  feed_shapes_.push_back(shape);
}

void Call::fetch(std::string_view name) {
  const Limits& limits = model_->limits();
  if (fetch_names_.size() == limits.tensors_per_call) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("a request fetches at most {} tensors", limits.tensors_per_call));
  }
  fetch_names_.push_back(name);
}

bool Call::find_target() {
  write_target_key({.feeds = feed_names_, .shapes = feed_shapes_, .fetches = fetch_names_}, key_);
  if (target_ == nullptr || key_ != last_key_) {
    target_ = model_->find_target(key_);
    last_key_ = key_;
  }
  targeted_ = target_ != nullptr;
  return targeted_;
}

void Call::make_target() {
  target_ =
      model_->make_target({.feeds = feed_names_, .shapes = feed_shapes_, .fetches = fetch_names_});
  targeted_ = true;
}

void Call::allocate() {
  std::size_t bytes = 0;
  for (const TensorInfo& tensor : feeds()) bytes += AlignedMemory::aligned(byte_size(tensor));
  for (const TensorInfo& tensor : fetches()) bytes += AlignedMemory::aligned(byte_size(tensor));
  tensor_bytes_ = bytes;
  std::byte* next = memory_.reserve(bytes);
  feed_memory_.clear();
  feed_pointers_.clear();
  for (const TensorInfo& tensor : feeds()) {
    feed_memory_.push_back(next);
    feed_pointers_.push_back(next);
    next += AlignedMemory::aligned(byte_size(tensor));
  }
  fetch_pointers_.clear();
  for (const TensorInfo& tensor : fetches()) {
    fetch_pointers_.push_back(next);
    next += AlignedMemory::aligned(byte_size(tensor));
  }
}

void Call::count(Outcome outcome) noexcept {
  if (counted_ || model_ == nullptr) return;
  counted_ = true;
  Statistics& statistics =
      targeted_ ? *target_->statistics : model_->statistics().front()->statistics;
  statistics.count_request(outcome);
}

void Call::fail(ErrorCode code, std::string message) noexcept {
  try {
    error_.emplace(code, std::move(message));
  } catch (...) {
    error_.emplace(ErrorCode::kResourceExhausted, std::string());  // allocates nothing
  }
}

void Call::compute(const Threads* helpers) noexcept {
  thread_local Workspace workspace;
  const Clock::time_point start = Clock::now();
  try {
    if (target_->cached) {
      target_->cached->run(target_->rows, feed_pointers_, fetch_pointers_, workspace, helpers);
    } else {
      target_->plan.run(feed_pointers_, fetch_pointers_, workspace, helpers);
    }
    target_->statistics->count_run(Clock::now() - start, target_->rows);
  } catch (const Error& error) {
    error_ = error;
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kUnavailable, "the server is out of memory; try again later");
  } catch (const std::exception& error) {
    fail(ErrorCode::kInternal, error.what());
  }
  count(error_ ? outcome_of(error_->code()) : Outcome::kOk);
}

void Call::run() noexcept {
  scheduler_->run(*this);
  completion_->finished(*this);
}

void Call::drop(Reason reason) noexcept {
  switch (reason) {
    case Reason::kDeadline:
      fail(ErrorCode::kDeadlineExceeded, "the request's time was over before its turn came");
      break;
    case Reason::kCancelled:
      fail(ErrorCode::kUnavailable, "the request was cancelled");
      break;
    case Reason::kStopping:
      fail(ErrorCode::kUnavailable, "the server is shutting down");
      break;
  }
  count(reason == Reason::kCancelled ? Outcome::kCancelled : outcome_of(error_->code()));
  completion_->finished(*this);
}

}  // namespace kerf::serving
