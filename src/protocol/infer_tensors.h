#pragma once

#include <cstddef>
#include <vector>

#include "protocol/buffer.h"
#include "protocol/infer_request.h"
#include "protocol/shared_memory.h"
#include "serving/call.h"

namespace kerf::protocol {

// The tensors of an Open Inference Protocol request, on their way into a call and out of it,
// whichever of its forms it came in. Reused from request to request by one thread at a time.
class InferTensors {
 public:
  explicit InferTensors(const SharedMemory& shared) : shared_(shared) {}

  // Says what the request feeds and fetches, its deadline and its priority. Throws for tensors
  // whose elements cannot be as many as their shapes say.
  static void declare(const InferRequest& request, serving::Call& call);
  // Reads the elements into the call's memory. Large ones that lie as they are wanted are used
  // where they are.
  void read(const InferRequest& request, serving::Call& call);

  // A tensor of the reply.
  struct Output {
    std::string_view name;
    DType datatype = DType::kFloat32;
    Shape shape;
    const std::byte* data = nullptr;  // as in the memory of a run
    std::size_t count = 0;
    std::size_t bytes = 0;               // in binary form
    const SharedPart* shared = nullptr;  // where it was put, instead of into the reply
  };
  // The results, with what the request wants done to them done: `classification`, shared memory.
  // Good until the next call of this and as long as the call and the request. Throws
  // Error(kResourceExhausted) beyond the limit of replies.
  const std::vector<Output>& outputs(const InferRequest& request, const serving::Call& call);

 private:
  void read_input(const RequestInput& input, const TensorInfo& feed, std::size_t index,
                  serving::Call& call);
  void put_into_shared_memory(const Output& output) const;

  const SharedMemory& shared_;
  Buffer unescaped_;            // strings of the request that had escapes
  std::vector<Buffer> copies_;  // of what lies in shared memory
  std::vector<Output> outputs_;
  std::vector<std::string> labels_;
  std::vector<std::string_view> label_views_;
};

}  // namespace kerf::protocol
