#pragma once

#include <string>
#include <vector>

#include "formats/hdf5_chunk_index.h"
#include "formats/hdf5_object.h"
#include "formats/hdf5_type.h"

namespace kerf::formats::hdf5 {

// The strings of an attribute, fixed or variable in length; empty where it has no elements, of
// whatever type. Throws Damaged.
std::vector<std::string> read_strings(const Image& image, const Attribute& attribute);

// Where the elements of a dataset stand: in one piece in the file, or (`plain` is empty) in chunks.
struct Layout {
  std::span<const std::byte> plain;
  ChunkIndex index;
  std::vector<std::uint64_t> chunk;  // its dimensions
  bool plain_edges = false;          // chunks that stick out of the shape are stored unfiltered
};
// `element` is the size of one. Throws Damaged and Unusual.
Layout parse_layout(const Image& image, std::span<const std::byte> message, std::uint64_t bytes,
                    std::size_t rank, std::uint32_t element);

// Gathers a dataset from its chunks into `to`, undoing their filters. `to` has the size that space
// and type need. Throws Damaged and Unusual.
void read_chunks(const Image& image, const Layout& layout, const Message* filters, const Type& type,
                 const Space& space, std::span<std::byte> to);

}  // namespace kerf::formats::hdf5
