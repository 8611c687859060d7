#include "formats/hdf5_chunk_index.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <set>

#include "formats/hdf5_btree2.h"

// HDF5 File Format Specification: the tree of chunks (III.A.1), fixed and extensible arrays
// (appendices C and D).
namespace kerf::formats::hdf5 {
namespace {

constexpr std::size_t kCheckSum = 4;

class Index {
 public:
  Index(const Image& image, const ChunkGrid& grid, bool filtered,
        const std::function<void(const StoredChunk&)>& visit)
      : image_(image), grid_(grid), filtered_(filtered), visit_(visit) {}

  void read_tree(std::uint64_t address, unsigned above) {
    if (!seen_.insert(address).second) throw Damaged{"the tree of its chunks has a cycle"};
    Cursor cursor(image_.from(address));
    cursor.expect("TREE");
    if (cursor.take<std::uint8_t>() != 1) throw Damaged{"it has a tree of another kind"};
    const unsigned level = cursor.take<std::uint8_t>();
    if (level >= above) throw Damaged{"the tree of its chunks has wrong levels"};
    const auto count = cursor.take<std::uint16_t>();
    cursor.skip(16);
    for (unsigned i = 0; i < count; ++i) {
      StoredChunk chunk{.size = cursor.take<std::uint32_t>()};
      chunk.skipped = cursor.take<std::uint32_t>();
      for (std::size_t axis = 0; axis < grid_.dims.size(); ++axis) {
        chunk.origin.push_back(cursor.take<std::uint64_t>());
      }
      cursor.skip(8);
      chunk.address = cursor.take<std::uint64_t>();
      level == 0 ? visit_(chunk) : read_tree(chunk.address, level);
    }
  }

  void read_single(const ChunkIndex& index) {
    visit_({.origin = std::vector<std::uint64_t>(grid_.dims.size(), 0),
            .address = index.address,
            .size = filtered_ ? index.single_size : grid_.chunk_bytes,
            .skipped = index.single_skipped});
  }

  void read_implicit(std::uint64_t address) {
    if (slots() > image_.size() / grid_.chunk_bytes) throw Damaged{"its data is truncated"};
    for (std::uint64_t i = 0; i < slots(); ++i) {
      visit_slot(i, {.address = address + i * grid_.chunk_bytes, .size = grid_.chunk_bytes});
    }
  }

  void read_fixed_array(std::uint64_t address) {
    Cursor cursor(image_.from(address));
    begin(cursor, "FAHD");
    element_size_ = cursor.take<std::uint8_t>();
    const unsigned page_bits = cursor.take<std::uint8_t>();
    const auto elements = cursor.take<std::uint64_t>();
    const auto block = cursor.take<std::uint64_t>();
    if (page_bits > 32) throw Damaged{"the index of its chunks has impossible pages"};
    Cursor data(image_.from(block));
    begin(data, "FADB");
    data.skip(8);
    const std::uint64_t count = std::min(elements, slots());
    const std::uint64_t page = std::uint64_t{1} << page_bits;
    if (elements <= page) {
      for (std::uint64_t i = 0; i < count; ++i) take_element(data, i);
      return;
    }
    const std::uint64_t pages = elements / page + (elements % page != 0 ? 1 : 0);
    const auto written = data.skip((pages + 7) / 8);
    data.skip(kCheckSum);
    read_pages(data, written, 0, page, 0, count);
  }

  void read_extensible_array(std::uint64_t address) {
    Cursor cursor(image_.from(address));
    begin(cursor, "EAHD");
    element_size_ = cursor.take<std::uint8_t>();
    const unsigned most_bits = cursor.take<std::uint8_t>();
    const unsigned in_index = cursor.take<std::uint8_t>();
    const std::uint64_t smallest = cursor.take<std::uint8_t>();
    const std::uint64_t pointers = cursor.take<std::uint8_t>();
    const unsigned page_bits = cursor.take<std::uint8_t>();
    cursor.skip(48);
    const auto index_block = cursor.take<std::uint64_t>();
    if (most_bits > 64 || page_bits > 32 || !std::has_single_bit(smallest) ||
        !std::has_single_bit(pointers)) {
      throw Damaged{"the index of its chunks has impossible blocks"};
    }
    const unsigned smallest_bits = static_cast<unsigned>(std::bit_width(smallest)) - 1;
    const unsigned pointer_bits = static_cast<unsigned>(std::bit_width(pointers)) - 1;
    if (most_bits < smallest_bits) throw Damaged{"the index of its chunks has impossible blocks"};
    const unsigned super_blocks = 1 + most_bits - smallest_bits;
    const unsigned in_index_block = std::min(2 * pointer_bits, super_blocks);
    const std::size_t offset_width = (most_bits + 7U) / 8;
    const std::uint64_t page = std::uint64_t{1} << page_bits;

    Cursor block(image_.from(index_block));
    begin(block, "EAIB");
    block.skip(8);
    std::uint64_t first = 0;
    for (; first < in_index; ++first) take_element(block, first);
    // Super block u has 2^(u/2) data blocks of 2^((u+1)/2) times the smallest size. The first few
    // stand in the index block, without one of their own.
    for (unsigned u = 0; u < super_blocks && first < slots(); ++u) {
      if (u / 2 > 32 || (u + 1) / 2 + smallest_bits > 48) {
        throw Damaged{"the index of its chunks has impossible blocks"};
      }
      const std::uint64_t blocks = std::uint64_t{1} << (u / 2);
      const std::uint64_t elements = smallest << ((u + 1) / 2);
      const std::uint64_t pages = elements > page ? elements / page : 0;
      std::optional<Cursor> super;
      std::span<const std::byte> written;
      if (u >= in_index_block) {
        const auto place = block.take<std::uint64_t>();
        if (place == kUndefined) {
          first += blocks * elements;
          continue;
        }
        super.emplace(image_.from(place));
        begin(*super, "EASB");
        super->skip(8 + offset_width);
        written = super->skip(blocks * ((pages + 7) / 8));
      }
      Cursor& list = super ? *super : block;
      for (std::uint64_t i = 0; i < blocks; ++i, first += elements) {
        const auto place = list.take<std::uint64_t>();
        if (place == kUndefined || first >= slots()) continue;
        Cursor data(image_.from(place));
        begin(data, "EADB");
        data.skip(8 + offset_width);
        const std::uint64_t count = std::min(elements, slots() - first);
        if (pages == 0) {
          for (std::uint64_t k = 0; k < count; ++k) take_element(data, first + k);
        } else {
          data.skip(kCheckSum);
          read_pages(data, written, i * pages, page, first, count);
        }
      }
    }
  }

  void read_tree2(std::uint64_t address) {
    constexpr std::uint8_t kChunks = 10;
    constexpr std::uint8_t kFilteredChunks = 11;
    const std::size_t rank = grid_.dims.size();
    for_each_record(image_, address, filtered_ ? kFilteredChunks : kChunks, [&](Cursor record) {
      StoredChunk chunk{.address = record.take<std::uint64_t>(), .size = grid_.chunk_bytes};
      if (filtered_) {
        if (record.left() < 4 + 8 * rank) throw Damaged{"the tree of its chunks is damaged"};
        chunk.size = size_of(record, record.left() - 4 - 8 * rank);
        chunk.skipped = record.take<std::uint32_t>();
      }
      for (std::size_t axis = 0; axis < rank; ++axis) {
        const auto scaled = record.take<std::uint64_t>();
        std::uint64_t origin = 0;
        if (__builtin_mul_overflow(scaled, grid_.chunk[axis], &origin)) {
          throw Damaged{"a chunk lies outside of its shape"};
        }
        chunk.origin.push_back(origin);
      }
      visit_(chunk);
    });
  }

 private:
  // Signature, version and client of a block.
  void begin(Cursor& cursor, std::string_view signature) const {
    cursor.expect(signature);
    if (cursor.take<std::uint8_t>() != 0) {
      throw Damaged{"the index of its chunks has an unknown version"};
    }
    if (cursor.take<std::uint8_t>() != (filtered_ ? 1 : 0)) {
      throw Damaged{"the index of its chunks is of another kind"};
    }
  }

  static std::uint64_t size_of(Cursor& cursor, std::size_t width) {
    if (width == 0 || width > 8) throw Damaged{"the index of its chunks is damaged"};
    return cursor.take_sized(width);
  }

  void take_element(Cursor& cursor, std::uint64_t slot) {
    StoredChunk chunk{.address = cursor.take<std::uint64_t>(), .size = grid_.chunk_bytes};
    if (filtered_) {
      chunk.size = size_of(cursor, element_size_ < 12 ? 0 : element_size_ - std::size_t{12});
      chunk.skipped = cursor.take<std::uint32_t>();
    }
    if (slot < slots()) visit_slot(slot, std::move(chunk));
  }

  // Pages of elements, each with a check sum behind it. Bit i of `written`, from the highest of the
  // first byte on, says whether page i was ever written.
  void read_pages(Cursor& data, std::span<const std::byte> written, std::uint64_t bit,
                  std::uint64_t page, std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t done = 0; done < count; done += page, ++bit) {
      const bool present =
          bit / 8 < written.size() &&
          (std::to_integer<unsigned>(written[bit / 8]) & (0x80U >> (bit % 8))) != 0;
      const std::uint64_t here = std::min(page, count - done);
      if (!present) {
        if (done + here < count) data.skip(page * element_size_ + kCheckSum);
        continue;
      }
      for (std::uint64_t i = 0; i < here; ++i) take_element(data, first + done + i);
      if (done + here < count) data.skip(kCheckSum);
    }
  }

  // Arrays number the chunks row by row, as many to a row as there may ever be. An axis without
  // limit comes first.
  const std::vector<std::size_t>& axes() {
    if (axes_.empty()) {
      for (std::size_t axis = 0; axis < grid_.dims.size(); ++axis) axes_.push_back(axis);
      std::stable_partition(axes_.begin(), axes_.end(),
                            [&](std::size_t axis) { return grid_.most[axis] == kUndefined; });
    }
    return axes_;
  }

  std::uint64_t chunks_along(std::size_t axis) const {
    const std::uint64_t most = grid_.most[axis] == kUndefined ? grid_.dims[axis] : grid_.most[axis];
    return most / grid_.chunk[axis] + (most % grid_.chunk[axis] != 0 ? 1 : 0);
  }

  std::uint64_t slots() {
    if (slots_) return *slots_;
    std::uint64_t count = 1;
    for (std::size_t axis = 0; axis < grid_.dims.size(); ++axis) {
      if (__builtin_mul_overflow(count, chunks_along(axis), &count)) {
        throw Damaged{"it has an impossible number of chunks"};
      }
    }
    slots_ = count;
    return count;
  }

  // Chunks that were never written, and those outside of the present shape, are left out.
  void visit_slot(std::uint64_t slot, StoredChunk chunk) {
    if (chunk.address == kUndefined) return;
    chunk.origin.assign(grid_.dims.size(), 0);
    const std::vector<std::size_t>& order = axes();
    for (std::size_t i = order.size(); i-- > 0;) {
      const std::uint64_t along = chunks_along(order[i]);
      chunk.origin[order[i]] = slot % along * grid_.chunk[order[i]];
      slot /= along;
      if (chunk.origin[order[i]] >= grid_.dims[order[i]]) return;
    }
    visit_(chunk);
  }

  const Image& image_;
  const ChunkGrid& grid_;
  bool filtered_;
  const std::function<void(const StoredChunk&)>& visit_;
  std::size_t element_size_ = 0;
  std::vector<std::size_t> axes_;
  std::optional<std::uint64_t> slots_;
  std::set<std::uint64_t> seen_;
};

}  // namespace

void for_each_chunk(const Image& image, const ChunkIndex& index, const ChunkGrid& grid,
                    bool filtered, const std::function<void(const StoredChunk&)>& visit) {
  Index reader(image, grid, filtered, visit);
  switch (index.kind) {
    case ChunkIndex::Kind::kTree:
      return reader.read_tree(index.address, 64);
    case ChunkIndex::Kind::kSingle:
      return reader.read_single(index);
    case ChunkIndex::Kind::kImplicit:
      return reader.read_implicit(index.address);
    case ChunkIndex::Kind::kFixedArray:
      return reader.read_fixed_array(index.address);
    case ChunkIndex::Kind::kExtensibleArray:
      return reader.read_extensible_array(index.address);
    case ChunkIndex::Kind::kTree2:
      return reader.read_tree2(index.address);
  }
  throw Damaged{"its chunks are found in an unknown way"};
}

}  // namespace kerf::formats::hdf5
