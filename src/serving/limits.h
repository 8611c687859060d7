#pragma once

#include <cstddef>

namespace kerf::serving {

// What a server refuses rather than tries. A plain value, fixed when the server starts.
struct Limits {
  std::size_t request_bytes = std::size_t{64} << 20;   // a body, and again once decompressed
  std::size_t tensor_elements = std::size_t{1} << 27;  // of one tensor fed or fetched
  std::size_t reply_bytes = std::size_t{256} << 20;    // of all tensors of a reply, in memory
  std::size_t queue_length = 1024;                     // calls of one model waiting for a worker
  std::size_t queue_bytes = std::size_t{2} << 30;      // of the tensors of all calls that wait
  std::size_t tensors_per_call = 1000;                 // fed, and likewise fetched
  std::size_t cuts_per_model = 256;                    // kept; further ones displace the oldest
  std::size_t plans_per_model = 1024;                  // likewise
};

}  // namespace kerf::serving
