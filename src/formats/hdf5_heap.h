#pragma once

#include <map>

#include "formats/hdf5_object.h"

namespace kerf::formats::hdf5 {

// A fractal heap: where the links and attributes of an object stand when they are many or large
// (format specification, III.G). Made for one group or dataset; the image must outlive it.
class FractalHeap {
 public:
  // Throws Damaged, and Unusual for a heap that is compressed.
  FractalHeap(const Image& image, std::uint64_t address);

  // The object with this id, of which trees hold as many bytes as id_size(). Throws Damaged, also
  // when the objects asked for are together larger than the file.
  std::span<const std::byte> object(std::span<const std::byte> id);
  std::size_t id_size() const noexcept { return id_size_; }

 private:
  struct Place {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
  };
  std::span<const std::byte> managed(std::uint64_t offset, std::uint64_t size) const;
  std::span<const std::byte> in_direct_block(std::uint64_t block, std::uint64_t start,
                                             std::uint64_t block_size, std::uint64_t offset,
                                             std::uint64_t size) const;
  std::uint64_t block_size(unsigned row) const;
  std::uint64_t row_start(unsigned row) const;
  void read_huge();

  const Image& image_;
  std::size_t id_size_ = 0;
  std::size_t offset_width_ = 0;
  std::size_t length_width_ = 0;
  std::uint64_t width_ = 0;  // blocks in a row of the doubling table
  unsigned width_bits_ = 0;
  unsigned start_bits_ = 0;   // log2 of the size of the first block
  unsigned direct_rows_ = 0;  // rows of blocks that hold objects
  std::uint64_t root_ = kUndefined;
  unsigned root_rows_ = 0;  // 0: the root is a direct block
  std::uint64_t huge_tree_ = kUndefined;
  bool huge_read_ = false;
  std::map<std::uint64_t, Place> huge_;
  std::uint64_t total_ = 0;
};

}  // namespace kerf::formats::hdf5
