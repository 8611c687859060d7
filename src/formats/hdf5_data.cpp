#include "formats/hdf5_data.h"

#include <libdeflate.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>

#include "formats/archive.h"

// HDF5 File Format Specification: global heap (III.E), data layout (IV.A.2.i), filters (IV.A.2.l),
// the tree of chunks (III.A.1).
namespace kerf::formats::hdf5 {
namespace {

// An object of a global heap collection, where text of variable length stands.
std::span<const std::byte> heap_object(const Image& image, std::uint64_t collection,
                                       std::uint32_t index) {
  Cursor head(image.from(collection));
  head.expect("GCOL");
  head.skip(4);
  const auto size = head.take<std::uint64_t>();
  Cursor objects(image.at(collection, size));
  objects.skip(16);
  while (objects.left() >= 16) {
    const auto number = objects.take<std::uint16_t>();
    objects.skip(6);
    const auto length = objects.take<std::uint64_t>();
    if (number == 0 || length > objects.left()) break;
    const auto data = objects.skip(length);
    if (number == index) return data;
    objects.skip(std::min<std::uint64_t>((8 - length % 8) % 8, objects.left()));
  }
  throw Damaged{"a text is not where it should be"};
}

std::string until_zero(std::span<const std::byte> bytes) {
  const char* text = reinterpret_cast<const char*>(bytes.data());
  return {text, strnlen(text, bytes.size())};
}

struct Filter {
  std::uint16_t id = 0;
  std::uint32_t parameter = 0;
};
constexpr std::uint16_t kDeflate = 1;
constexpr std::uint16_t kShuffle = 2;
constexpr std::uint16_t kFletcher32 = 3;

std::vector<Filter> parse_filters(std::span<const std::byte> message) {
  Cursor cursor(message);
  const auto version = cursor.take<std::uint8_t>();
  const auto count = cursor.take<std::uint8_t>();
  if (version != 1 && version != 2) throw Damaged{"its filters have an unknown version"};
  if (version == 1) cursor.skip(6);
  std::vector<Filter> filters;
  for (unsigned i = 0; i < count; ++i) {
    Filter filter{.id = cursor.take<std::uint16_t>()};
    const bool named = version == 1 || filter.id >= 256;
    const auto name = named ? cursor.take<std::uint16_t>() : std::uint16_t{0};
    cursor.skip(2);
    const auto values = cursor.take<std::uint16_t>();
    cursor.skip(version == 1 ? (name + 7U) / 8 * 8 : name);
    for (unsigned k = 0; k < values; ++k) {
      const auto value = cursor.take<std::uint32_t>();
      if (k == 0) filter.parameter = value;
    }
    if (version == 1 && values % 2 != 0) cursor.skip(4);
    if (filter.id != kDeflate && filter.id != kShuffle && filter.id != kFletcher32) {
      throw Unusual{"it is compressed by a method other than gzip"};
    }
    filters.push_back(filter);
  }
  return filters;
}

// zlib's stream around DEFLATE, into exactly `size` bytes.
std::vector<std::byte> inflated(std::span<const std::byte> from, std::size_t size) {
  std::vector<std::byte> to(size);
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> inflater(
      libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (!inflater || libdeflate_zlib_decompress(inflater.get(), from.data(), from.size(), to.data(),
                                              size, nullptr) != LIBDEFLATE_SUCCESS) {
    throw Damaged{"its compressed data is damaged"};
  }
  return to;
}

// The filter puts all first bytes of the elements together, then all second ones, and so on.
std::vector<std::byte> unshuffled(std::span<const std::byte> from, std::size_t width) {
  std::vector<std::byte> to(from.begin(), from.end());
  if (width < 2) return to;
  const std::size_t count = from.size() / width;
  for (std::size_t byte = 0; byte < width; ++byte) {
    for (std::size_t i = 0; i < count; ++i) to[i * width + byte] = from[byte * count + i];
  }
  return to;
}

class ChunkReader {
 public:
  ChunkReader(const Image& image, const Layout& layout, const Message* filters, const Type& type,
              std::span<const std::uint64_t> dims, std::span<std::byte> to)
      : image_(image), layout_(layout), type_(type), dims_(dims), to_(to) {
    if (filters != nullptr) filters_ = parse_filters(filters->data);
    const auto elements = count_of(layout.chunk);
    if (!elements || *elements == 0 || !credible_size(*elements * type.size, image.size())) {
      throw Damaged{"its chunks have an impossible size"};
    }
    chunk_bytes_ = *elements * type.size;
    for (std::size_t axis = 0; axis < dims.size(); ++axis) {
      const std::uint64_t chunk = layout.chunk[axis];
      expected_ *= (dims[axis] + chunk - 1) / chunk;
      // Chunks wider than the data would make little data cost much work.
      if (chunk > std::max<std::uint64_t>(2 * dims[axis], 1024)) {
        throw Unusual{"its chunks are larger than its data"};
      }
    }
  }

  void read() {
    read_tree(layout_.chunk_index, 64);
    if (done_.size() != expected_) throw Damaged{"a part of its data is missing"};
  }

 private:
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
      const auto size = cursor.take<std::uint32_t>();
      const auto skipped = cursor.take<std::uint32_t>();
      std::vector<std::uint64_t> origin(dims_.size());
      for (std::uint64_t& offset : origin) offset = cursor.take<std::uint64_t>();
      cursor.skip(8);
      const auto child = cursor.take<std::uint64_t>();
      if (level == 0) {
        read_chunk(origin, image_.at(child, size), skipped);
      } else {
        read_tree(child, level);
      }
    }
  }

  void read_chunk(const std::vector<std::uint64_t>& origin, std::span<const std::byte> stored,
                  std::uint32_t skipped) {
    for (std::size_t axis = 0; axis < origin.size(); ++axis) {
      if (origin[axis] >= dims_[axis] || origin[axis] % layout_.chunk[axis] != 0) {
        throw Damaged{"a chunk lies outside of its shape"};
      }
    }
    if (!done_.insert(origin).second) throw Damaged{"a chunk stands twice"};
    std::vector<std::byte> owned;
    for (std::size_t i = filters_.size(); i-- > 0;) {
      if (i < 32 && (skipped >> i & 1U) != 0) continue;
      if (filters_[i].id == kFletcher32) {
        if (stored.size() < 4) throw Damaged{"a chunk is truncated"};
        stored = stored.first(stored.size() - 4);
      } else {
        owned = filters_[i].id == kDeflate ? inflated(stored, inflated_size(i))
                                           : unshuffled(stored, filters_[i].parameter);
        stored = owned;
      }
    }
    if (stored.size() != chunk_bytes_) throw Damaged{"a chunk has a wrong size"};
    copy(origin, stored);
  }

  // A check sum that was appended before compression is still there after it.
  std::size_t inflated_size(std::size_t filter) const {
    std::size_t size = chunk_bytes_;
    for (std::size_t i = 0; i < filter; ++i) size += filters_[i].id == kFletcher32 ? 4 : 0;
    return size;
  }

  // Rows of the last axis, as far as they lie inside.
  void copy(const std::vector<std::uint64_t>& origin, std::span<const std::byte> chunk) {
    const std::size_t rank = dims_.size();
    if (rank == 0) {
      std::memcpy(to_.data(), chunk.data(), to_.size());
      return;
    }
    const std::size_t last = rank - 1;
    const std::uint64_t width =
        std::min(layout_.chunk[last], dims_[last] - origin[last]) * type_.size;
    std::vector<std::uint64_t> index(rank, 0);
    for (;;) {
      std::uint64_t from = 0;
      std::uint64_t place = 0;
      for (std::size_t axis = 0; axis < rank; ++axis) {
        from = from * layout_.chunk[axis] + index[axis];
        place = place * dims_[axis] + origin[axis] + index[axis];
      }
      std::memcpy(to_.data() + place * type_.size, chunk.data() + from * type_.size, width);
      std::size_t axis = last;
      while (axis-- > 0) {
        if (++index[axis] < std::min(layout_.chunk[axis], dims_[axis] - origin[axis])) break;
        index[axis] = 0;
      }
      if (axis == static_cast<std::size_t>(-1)) return;
    }
  }

  const Image& image_;
  const Layout& layout_;
  const Type& type_;
  std::span<const std::uint64_t> dims_;
  std::span<std::byte> to_;
  std::vector<Filter> filters_;
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t expected_ = 1;
  std::set<std::vector<std::uint64_t>> done_;
  std::set<std::uint64_t> seen_;
};

}  // namespace

std::vector<std::string> read_strings(const Image& image, const Attribute& attribute) {
  const auto count = count_of(parse_space(attribute.space));
  if (!count) throw Damaged{"it has an impossible number of elements"};
  if (*count == 0) return {};
  const Type type = parse_type(attribute.type);
  if (type.kind != Type::Kind::kFixedText && type.kind != Type::Kind::kVariableText) {
    throw Damaged{"it does not hold text"};
  }
  constexpr std::uint32_t kReference = 16;  // length, collection, index
  if (type.size == 0 || (type.kind == Type::Kind::kVariableText && type.size != kReference) ||
      *count > attribute.data.size() / type.size) {
    throw Damaged{"it is truncated"};
  }
  Cursor cursor(attribute.data);
  std::vector<std::string> strings;
  std::uint64_t total = 0;
  for (std::uint64_t i = 0; i < *count; ++i) {
    if (type.kind == Type::Kind::kFixedText) {
      strings.push_back(until_zero(cursor.skip(type.size)));
      continue;
    }
    const auto length = cursor.take<std::uint32_t>();
    const auto collection = cursor.take<std::uint64_t>();
    const auto index = cursor.take<std::uint32_t>();
    if (length == 0) {
      strings.emplace_back();
      continue;
    }
    const auto text = heap_object(image, collection, index);
    if (length > text.size()) throw Damaged{"a text is truncated"};
    // Many elements may name the same text: together they must not grow beyond the file.
    total += length;
    if (total > image.size()) throw Damaged{"its texts are longer than the file"};
    strings.push_back(until_zero(text.first(length)));
  }
  return strings;
}

Layout parse_layout(const Image& image, std::span<const std::byte> message, std::uint64_t bytes,
                    std::size_t rank) {
  enum Class : std::uint8_t { kCompact = 0, kContiguous = 1, kChunked = 2, kVirtual = 3 };
  Cursor cursor(message);
  const auto version = cursor.take<std::uint8_t>();
  if (version < 3) throw Unusual{"its layout is older than HDF5 1.6"};
  if (version > 4) throw Damaged{"its layout has an unknown version"};
  const auto kind = cursor.take<std::uint8_t>();
  Layout layout;
  if (kind == kCompact) {
    layout.plain = cursor.skip(cursor.take<std::uint16_t>());
    if (layout.plain.size() < bytes) throw Damaged{"its data is truncated"};
    layout.plain = layout.plain.first(bytes);
  } else if (kind == kContiguous) {
    const auto address = cursor.take<std::uint64_t>();
    if (address == kUndefined || cursor.take<std::uint64_t>() < bytes) {
      throw Damaged{"its data is missing or truncated"};
    }
    layout.plain = image.at(address, bytes);
  } else if (kind == kVirtual) {
    throw Unusual{"it is a virtual dataset, which keeps its data elsewhere"};
  } else if (kind != kChunked) {
    throw Damaged{"its layout is of an unknown kind"};
  } else if (version == 4) {
    throw Unusual{"its chunks are stored in a form of newer HDF5 versions"};
  } else {
    if (cursor.take<std::uint8_t>() != rank + 1) throw Damaged{"its chunks have a wrong rank"};
    layout.chunk_index = cursor.take<std::uint64_t>();
    for (std::size_t i = 0; i < rank; ++i) {
      layout.chunk.push_back(cursor.take<std::uint32_t>());
      if (layout.chunk.back() == 0) throw Damaged{"its chunks are empty"};
    }
  }
  return layout;
}

void read_chunks(const Image& image, const Layout& layout, const Message* filters, const Type& type,
                 std::span<const std::uint64_t> dims, std::span<std::byte> to) {
  ChunkReader(image, layout, filters, type, dims, to).read();
}

}  // namespace kerf::formats::hdf5
