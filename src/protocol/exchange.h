#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kerf/model.h"
#include "protocol/compression.h"
#include "protocol/infer_request.h"
#include "protocol/message.h"
#include "protocol/route.h"
#include "serving/limits.h"
#include "serving/repository.h"

namespace kerf::protocol {

// What all exchanges of a server share.
struct Service {
  std::shared_ptr<serving::Repository> repository;
  serving::Limits limits;
  Threads threads;                 // large runs are split over these
  std::atomic<bool> ready = true;  // what the readiness endpoints say
};

// Requests and their replies by the Open Inference Protocol, one after the other: one Exchange per
// connection, whose memory it reuses. Not shared between threads, but it may move from one to
// another between begin() and work().
class Exchange {
 public:
  explicit Exchange(const Service& service) : service_(service), models_(*service.repository) {}

  // Takes a request as far as it can be taken at once. True if reply() is complete; false if work()
  // must be called, which may take long. Throws nothing: errors are replies.
  bool begin(const Request& request) noexcept;
  // Does the rest; reply() is complete afterwards.
  void work() noexcept;
  Reply& reply() noexcept { return reply_; }
  // Lets go of a model that was replaced since. Called now and then between requests.
  void rest() noexcept;

 private:
  enum class Step : std::uint8_t { kGraph, kRead, kPlan, kRun };

  // Calls `body`, and makes an error it throws the reply. Returns what `body` does; true on errors.
  template <typename Body>
  bool guarded(Body&& body) noexcept;

  bool start();
  bool start_infer();
  void read();
  bool find_plan();
  void make_plan();
  void run();
  void write_reply();
  void check_reply_size() const;
  void write_output(std::size_t index, const std::byte* data);
  bool is_binary(std::size_t output) const;
  void compress_reply();

  // Memory for tensors, aligned for any kernel, and reused.
  std::byte* tensor_memory(std::size_t bytes);

  const Service& service_;
  serving::Repository::Reader models_;
  Request request_;
  Reply reply_;
  Route route_;
  Step step_ = Step::kRead;
  const serving::ServedModel* model_ = nullptr;  // kept by models_
  InferRequest infer_;
  Coding coding_ = Coding::kIdentity;
  Buffer decompressed_;
  std::vector<std::string_view> feeds_;
  std::vector<Shape> shapes_;
  std::vector<std::string_view> fetches_;
  std::string key_;
  Plan plan_;
  Buffer unescaped_;  // strings of the request that had escapes
  std::vector<const void*> feed_pointers_;
  std::vector<void*> fetch_pointers_;
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t memory_size_ = 0;
};

}  // namespace kerf::protocol
