#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kerf/precision.h"

namespace kerf::serving {

// A pair of feeds and fetches that has a name: a model of its own to clients, and where features
// may be kept. Addresses; empty `feeds` are the model's inputs, empty `fetches` its outputs.
struct NamedCut {
  std::string name;
  std::vector<std::string> feeds;
  std::vector<std::string> fetches;
  // How many bytes of results are kept, each with the inputs it belongs to, so that equal inputs
  // are not computed again, by this cut or by a call that goes on from what it fetches. 0: none.
  std::size_t cache_bytes = 0;

  bool operator==(const NamedCut&) const = default;
};

// How calls of one model are run together.
struct Batching {
  // Rows (samples) of one run. 1: every call runs alone.
  std::int64_t max_rows = 64;
  // How long a call waits for others where it could run at once. None by default: what waits while
  // all workers are busy is batched in any case.
  std::chrono::microseconds delay{0};

  bool operator==(const Batching&) const = default;
};

// What the configuration says of one model. A plain value.
struct ModelSettings {
  Batching batching;
  std::vector<NamedCut> cuts;
  std::optional<Precision> precision;  // nothing: float32
  std::size_t queue_length = 0;        // calls waiting for a worker; 0: Limits::queue_length

  bool operator==(const ModelSettings&) const = default;
};

}  // namespace kerf::serving
