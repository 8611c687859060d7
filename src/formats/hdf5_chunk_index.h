#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "formats/hdf5_object.h"

namespace kerf::formats::hdf5 {

// How the chunks of a dataset are found (format specification, IV.A.2.i and its appendix on chunk
// indexes): by the tree of the first versions, or by one of the ways of version 1.10.
struct ChunkIndex {
  enum class Kind : std::uint8_t {
    kTree = 0,
    kSingle = 1,
    kImplicit = 2,
    kFixedArray = 3,
    kExtensibleArray = 4,
    kTree2 = 5,
  };
  Kind kind = Kind::kTree;
  std::uint64_t address = kUndefined;
  std::uint64_t single_size = 0;  // of a single chunk, as stored
  std::uint32_t single_skipped = 0;
};

// One chunk of a dataset: what is stored for it, and at which element it starts.
struct StoredChunk {
  std::vector<std::uint64_t> origin;
  std::uint64_t address = kUndefined;
  std::uint64_t size = 0;
  std::uint32_t skipped = 0;  // filters, by bits
};

// The shape of a dataset in chunks: elements now and at most (kUndefined: without limit), elements
// of a chunk, and its bytes.
struct ChunkGrid {
  std::span<const std::uint64_t> dims;
  std::span<const std::uint64_t> most;
  std::span<const std::uint64_t> chunk;
  std::uint64_t chunk_bytes = 0;
};

// Calls `visit` with every chunk that is stored. Throws Damaged, and what `visit` throws.
void for_each_chunk(const Image& image, const ChunkIndex& index, const ChunkGrid& grid,
                    bool filtered, const std::function<void(const StoredChunk&)>& visit);

}  // namespace kerf::formats::hdf5
