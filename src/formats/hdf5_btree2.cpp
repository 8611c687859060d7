#include "formats/hdf5_btree2.h"

#include <bit>
#include <set>
#include <vector>

// HDF5 File Format Specification, III.A.2.
namespace kerf::formats::hdf5 {
namespace {

constexpr std::size_t kNodeOverhead = 10;  // signature, version, type, check sum
constexpr unsigned kMostLevels = 16;

// Bytes that hold numbers up to `most`.
std::size_t width_of(std::uint64_t most) {
  return (static_cast<std::size_t>(std::bit_width(most)) + 7) / 8;
}

class Tree {
 public:
  Tree(const Image& image, std::uint8_t type, const std::function<void(Cursor)>& visit)
      : image_(image), type_(type), visit_(visit) {}

  void read(std::uint64_t address) {
    Cursor cursor(image_.from(address));
    cursor.expect("BTHD");
    expect_kind(cursor);
    node_size_ = cursor.take<std::uint32_t>();
    record_size_ = cursor.take<std::uint16_t>();
    const auto depth = cursor.take<std::uint16_t>();
    cursor.skip(2);
    const auto root = cursor.take<std::uint64_t>();
    const auto records = cursor.take<std::uint16_t>();
    if (depth > kMostLevels || record_size_ == 0 || node_size_ <= kNodeOverhead + record_size_) {
      throw Damaged{"a tree has impossible nodes"};
    }
    if (root == kUndefined) return;
    measure_pointers(depth);
    read_node(root, records, depth);
  }

 private:
  void expect_kind(Cursor& cursor) const {
    if (cursor.take<std::uint8_t>() != 0) throw Damaged{"a tree has an unknown version"};
    if (cursor.take<std::uint8_t>() != type_) throw Damaged{"a tree is of another kind"};
  }

  // A pointer to a node gives the number of its records, and of all below it, in as many bytes as
  // those can need at its level.
  void measure_pointers(unsigned depth) {
    std::uint64_t below = (node_size_ - kNodeOverhead) / record_size_;
    count_width_ = width_of(below);
    total_widths_.assign(1, 0);
    for (unsigned level = 1; level <= depth; ++level) {
      const std::size_t pointer = 8 + count_width_ + total_widths_.back();
      if (node_size_ < kNodeOverhead + pointer) throw Damaged{"a tree has impossible nodes"};
      const std::uint64_t most = (node_size_ - kNodeOverhead - pointer) / (record_size_ + pointer);
      if (__builtin_mul_overflow(most + 1, below, &below) ||
          __builtin_add_overflow(below, most, &below)) {
        below = ~std::uint64_t{0};
      }
      total_widths_.push_back(width_of(below));
    }
  }

  void read_node(std::uint64_t address, std::uint64_t records, unsigned level) {
    if (!seen_.insert(address).second) throw Damaged{"a tree has a cycle"};
    Cursor cursor(image_.at(address, node_size_));
    cursor.expect(level == 0 ? "BTLF" : "BTIN");
    expect_kind(cursor);
    if (records > cursor.left() / record_size_) throw Damaged{"a node of a tree is truncated"};
    Cursor keys(cursor.skip(records * record_size_));
    for (std::uint64_t i = 0; i <= records; ++i) {
      if (level > 0) {
        const auto child = cursor.take<std::uint64_t>();
        const std::uint64_t count = cursor.take_sized(count_width_);
        cursor.skip(total_widths_[level - 1]);
        read_node(child, count, level - 1);
      }
      if (i < records) visit_(Cursor(keys.skip(record_size_)));
    }
  }

  const Image& image_;
  std::uint8_t type_;
  const std::function<void(Cursor)>& visit_;
  std::size_t node_size_ = 0;
  std::size_t record_size_ = 0;
  std::size_t count_width_ = 0;
  std::vector<std::size_t> total_widths_;  // by level of the node that is pointed to
  std::set<std::uint64_t> seen_;
};

}  // namespace

void for_each_record(const Image& image, std::uint64_t address, std::uint8_t type,
                     const std::function<void(Cursor record)>& visit) {
  Tree(image, type, visit).read(address);
}

}  // namespace kerf::formats::hdf5
