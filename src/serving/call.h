#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kerf/error.h"
#include "kerf/model.h"
#include "serving/aligned_memory.h"
#include "serving/job.h"
#include "serving/served_model.h"
#include "serving/target.h"

namespace kerf::serving {

class Call;
class Scheduler;

// Who waits for calls that were submitted.
class Completion {
 public:
  // The call's results or its error are there. Called once, by a worker or, at a stop, by the
  // thread that stops; the call is the submitter's again.
  virtual void finished(Call& call) noexcept = 0;

 protected:
  ~Completion() = default;
};

// One inference, whatever protocol it came by: what it feeds and fetches, and memory for both,
// which the next call reuses, so that a call allocates nothing once it is warm. Not shared between
// threads, but it may move from one to another between its steps:
//
//   call.begin(model);                                    // 1. what is asked
//   call.feed("x", shape); call.fetch("dense_3");
//   if (!call.find_target()) call.make_target();          // 2. the latter may take long
//   if (!scheduler.admits(call)) ...;                     //    the server has too much to do
//   call.allocate(); ... write to call.feed_memory(i) ... // 3. the tensors, as target() has them
//   if (call.target().lane == Lane::kCaller) scheduler.run(call);     // 4. at once, or
//   else if (!scheduler.submit(call, completion)) ...;                //    by a worker
//   call.error(), call.fetched(i)                         // 5. results
class Call final : public Job {
 public:
  // 1. What is asked. Names refer to memory of the caller, which stays until the call ends.

  // Begins anew. The model is held until clear() or a begin() with another one: the next call,
  // which is likely of the same form, then finds its target without a look into any cache.
  void begin(const std::shared_ptr<const ServedModel>& model);
  // Forgets the model and all that was asked.
  void clear() noexcept;
  // Throws Error(kInvalidArgument) for a tensor fed twice, Error(kResourceExhausted) for too many
  // tensors or elements; the name is in where().
  void feed(std::string_view name, const Shape& shape);
  void fetch(std::string_view name);  // without any: the model's outputs

  // 2. What runs.

  // False if it must be made, on a thread that may take long.
  bool find_target();
  // Throws as ServedModel::make_target().
  void make_target();
  const Target& target() const noexcept { return *target_; }
  const std::shared_ptr<const ServedModel>& model() const noexcept { return model_; }
  // The tensors as the plan has them: their dtypes are the ones to write and read.
  const std::vector<TensorInfo>& feeds() const noexcept { return target_->plan.feeds(); }
  const std::vector<TensorInfo>& fetches() const noexcept { return target_->plan.fetches(); }

  // 3. The tensors.

  // Throws std::bad_alloc.
  void allocate();
  // Room for feed `i`, for the caller to write, aligned for any dtype. A string is a
  // std::string_view (see Plan::run) of characters that stay where they are until the call ends.
  std::byte* feed_memory(std::size_t i) noexcept { return feed_memory_[i]; }
  // Feeds dense elements that lie elsewhere, and stay there until the call ends, instead.
  void set_feed(std::size_t i, const void* data) noexcept { feed_pointers_[i] = data; }

  // 5. Results.

  // What went wrong; nothing if fetched() may be read.
  const std::optional<Error>& error() const noexcept { return error_; }
  const std::byte* fetched(std::size_t i) const noexcept {
    return static_cast<const std::byte*>(fetch_pointers_[i]);
  }
  // For who computes it: the elements fed, and room for those fetched.
  const void* fed(std::size_t i) const noexcept { return feed_pointers_[i]; }
  void* fetch_memory(std::size_t i) noexcept { return fetch_pointers_[i]; }
  static std::size_t byte_size(const TensorInfo& tensor) noexcept {
    return static_cast<std::size_t>(tensor.shape.element_count()) * element_size(tensor.dtype);
  }
  // Counts how the call ended, where nothing has counted that yet: who answers it says so of what
  // it refuses itself. Of calls that were run or dropped the scheduler counts it.
  void count(Outcome outcome) noexcept;
  // Of all feeds and fetches, in memory.
  std::size_t tensor_bytes() const noexcept { return tensor_bytes_; }

 private:
  friend class Scheduler;
  // Runs the plan for this call alone.
  void compute(const Threads* threads) noexcept;
  void run() noexcept override;
  void drop(Reason reason) noexcept override;
  void fail(ErrorCode code, std::string message) noexcept;

  std::shared_ptr<const ServedModel> model_;
  std::vector<std::string_view> feed_names_;
  std::vector<Shape> feed_shapes_;
  std::vector<std::string_view> fetch_names_;
  std::string key_;       // of what is asked
  std::string last_key_;  // of target_, while that is held
  std::shared_ptr<const Target> target_;
  std::vector<std::byte*> feed_memory_;
  std::vector<const void*> feed_pointers_;
  std::vector<void*> fetch_pointers_;
  std::optional<Error> error_;
  Scheduler* scheduler_ = nullptr;  // it was submitted to
  Completion* completion_ = nullptr;
  AlignedMemory memory_;
  std::size_t tensor_bytes_ = 0;
  bool targeted_ = false;  // target_ is this call's, not that of the call before
  bool counted_ = false;
};

}  // namespace kerf::serving
