#include "formats/hdf5_heap.h"

#include <algorithm>
#include <bit>

#include "formats/hdf5_btree2.h"

// HDF5 File Format Specification, III.G.
namespace kerf::formats::hdf5 {
namespace {

constexpr unsigned kMostBits = 48;  // of sizes in a heap: no file is larger

unsigned log2_of(std::uint64_t power) {
  if (!std::has_single_bit(power)) throw Damaged{"a heap has blocks of an impossible size"};
  return static_cast<unsigned>(std::bit_width(power)) - 1;
}

}  // namespace

FractalHeap::FractalHeap(const Image& image, std::uint64_t address) : image_(image) {
  Cursor cursor(image.from(address));
  cursor.expect("FRHP");
  if (cursor.take<std::uint8_t>() != 0) throw Damaged{"a heap has an unknown version"};
  id_size_ = cursor.take<std::uint16_t>();
  if (cursor.take<std::uint16_t>() != 0) throw Unusual{"a group or attribute is compressed"};
  cursor.skip(1);
  const auto largest = cursor.take<std::uint32_t>();
  cursor.skip(8);
  huge_tree_ = cursor.take<std::uint64_t>();
  cursor.skip(80);  // free space, and numbers and sizes of objects
  width_ = cursor.take<std::uint16_t>();
  start_bits_ = log2_of(cursor.take<std::uint64_t>());
  const unsigned direct_bits = log2_of(cursor.take<std::uint64_t>());
  const auto heap_bits = cursor.take<std::uint16_t>();
  cursor.skip(2);
  root_ = cursor.take<std::uint64_t>();
  root_rows_ = cursor.take<std::uint16_t>();
  width_bits_ = log2_of(width_);
  if (start_bits_ > direct_bits || direct_bits > kMostBits || heap_bits > 64 || id_size_ < 2) {
    throw Damaged{"a heap has blocks of an impossible size"};
  }
  direct_rows_ = direct_bits - start_bits_ + 2;
  offset_width_ = (heap_bits + 7U) / 8;
  length_width_ = std::min<std::size_t>(
      (direct_bits + 7) / 8, (static_cast<std::size_t>(std::bit_width(largest)) + 7) / 8);
}

std::span<const std::byte> FractalHeap::object(std::span<const std::byte> id) {
  Cursor cursor(id);
  const auto head = cursor.take<std::uint8_t>();
  std::span<const std::byte> found;
  switch (head >> 4U & 3U) {
    case 0: {
      const std::uint64_t offset = cursor.take_sized(offset_width_);
      found = managed(offset, cursor.take_sized(length_width_));
      break;
    }
    case 1: {
      read_huge();
      const auto place = huge_.find(cursor.take_sized(std::min<std::size_t>(8, cursor.left())));
      if (place == huge_.end()) throw Damaged{"a large attribute is missing"};
      found = image_.at(place->second.address, place->second.size);
      break;
    }
    case 2:
      found = cursor.skip((head & 15U) + 1U);
      break;
    default:
      throw Damaged{"a heap has an object of an unknown kind"};
  }
  // Many ids may name the same object.
  total_ += found.size();
  if (total_ > image_.size()) throw Damaged{"the objects of a heap are larger than the file"};
  return found;
}

// Objects too large for blocks stand in the file alone, listed by their number.
void FractalHeap::read_huge() {
  if (huge_read_) return;
  huge_read_ = true;
  constexpr std::uint8_t kHugeObjects = 1;
  if (huge_tree_ == kUndefined) return;
  for_each_record(image_, huge_tree_, kHugeObjects, [&](Cursor record) {
    Place place{.address = record.take<std::uint64_t>()};
    place.size = record.take<std::uint64_t>();
    huge_.emplace(record.take<std::uint64_t>(), place);
  });
}

std::uint64_t FractalHeap::block_size(unsigned row) const {
  return std::uint64_t{1} << (start_bits_ + (row == 0 ? 0 : row - 1));
}

std::uint64_t FractalHeap::row_start(unsigned row) const {
  return row == 0 ? 0 : width_ * block_size(row);
}

// The first two rows of the table have blocks of one size, every later row of twice the size; rows
// of blocks larger than the largest direct block hold such tables instead.
std::span<const std::byte> FractalHeap::managed(std::uint64_t offset, std::uint64_t size) const {
  std::uint64_t block = root_;
  std::uint64_t start = 0;
  unsigned rows = root_rows_;
  std::uint64_t extent = block_size(0);
  while (rows != 0) {
    Cursor cursor(image_.from(block));
    cursor.expect("FHIB");
    cursor.skip(1 + 8 + offset_width_);
    unsigned row = 0;
    while (row < rows && start_bits_ + row < kMostBits &&
           offset - start >= row_start(row) + width_ * block_size(row)) {
      ++row;
    }
    if (row >= rows || start_bits_ + row >= kMostBits) {
      throw Damaged{"an object lies outside of its heap"};
    }
    const std::uint64_t column = (offset - start - row_start(row)) / block_size(row);
    cursor.skip((row * width_ + column) * 8);
    block = cursor.take<std::uint64_t>();
    start += row_start(row) + column * block_size(row);
    extent = block_size(row);
    if (row < direct_rows_) break;
    // Fewer than `row`: this ends.
    if (row <= width_bits_) throw Damaged{"a heap has blocks of an impossible size"};
    rows = row - width_bits_;
  }
  return in_direct_block(block, start, extent, offset, size);
}

std::span<const std::byte> FractalHeap::in_direct_block(std::uint64_t block, std::uint64_t start,
                                                        std::uint64_t block_size,
                                                        std::uint64_t offset,
                                                        std::uint64_t size) const {
  Cursor(image_.from(block)).expect("FHDB");
  if (offset < start || offset - start > block_size || size > block_size - (offset - start)) {
    throw Damaged{"an object lies outside of its heap"};
  }
  return image_.at(block, block_size).subspan(offset - start, size);
}

}  // namespace kerf::formats::hdf5
