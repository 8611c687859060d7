#include "formats/hdf5_data.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "formats/archive.h"
#include "formats/hdf5_filters.h"

// HDF5 File Format Specification: global heap (III.E), data layout (IV.A.2.i).
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

class ChunkReader {
 public:
  ChunkReader(const Image& image, const Layout& layout, const Message* filters, const Type& type,
              const Space& space, std::span<std::byte> to)
      : image_(image), layout_(layout), type_(type), space_(space), to_(to) {
    if (filters != nullptr) filters_ = Filters(filters->data);
    const auto elements = count_of(layout.chunk);
    if (!elements || *elements == 0 || !credible_size(*elements * type.size, image.size())) {
      throw Damaged{"its chunks have an impossible size"};
    }
    chunk_bytes_ = *elements * type.size;
    for (std::size_t axis = 0; axis < space.dims.size(); ++axis) {
      const std::uint64_t chunk = layout.chunk[axis];
      expected_ *= (space.dims[axis] + chunk - 1) / chunk;
      // Chunks wider than the data would make little data cost much work.
      if (chunk > std::max<std::uint64_t>(2 * space.dims[axis], 1024)) {
        throw Unusual{"its chunks are larger than its data"};
      }
    }
  }

  void read() {
    const ChunkGrid grid{.dims = space_.dims,
                         .most = space_.most,
                         .chunk = layout_.chunk,
                         .chunk_bytes = chunk_bytes_};
    for_each_chunk(image_, layout_.index, grid, !filters_.empty(),
                   [&](const StoredChunk& chunk) { read_chunk(chunk); });
    if (done_.size() != expected_) throw Damaged{"a part of its data is missing"};
  }

 private:
  void read_chunk(const StoredChunk& chunk) {
    bool partial = false;
    for (std::size_t axis = 0; axis < chunk.origin.size(); ++axis) {
      const std::uint64_t start = chunk.origin[axis];
      if (start >= space_.dims[axis] || start % layout_.chunk[axis] != 0) {
        throw Damaged{"a chunk lies outside of its shape"};
      }
      partial = partial || layout_.chunk[axis] > space_.dims[axis] - start;
    }
    if (!done_.insert(chunk.origin).second) throw Damaged{"a chunk stands twice"};
    std::vector<std::byte> owned;
    const std::uint32_t skipped = partial && layout_.plain_edges ? ~0U : chunk.skipped;
    copy(chunk.origin,
         filters_.undo(image_.at(chunk.address, chunk.size), chunk_bytes_, skipped, owned));
  }

  // Rows of the last axis, as far as they lie inside.
  void copy(const std::vector<std::uint64_t>& origin, std::span<const std::byte> chunk) {
    const std::vector<std::uint64_t>& dims = space_.dims;
    const std::size_t rank = dims.size();
    if (rank == 0) {
      std::memcpy(to_.data(), chunk.data(), to_.size());
      return;
    }
    const std::size_t last = rank - 1;
    const std::uint64_t width =
        std::min(layout_.chunk[last], dims[last] - origin[last]) * type_.size;
    std::vector<std::uint64_t> index(rank, 0);
    for (;;) {
      std::uint64_t from = 0;
      std::uint64_t place = 0;
      for (std::size_t axis = 0; axis < rank; ++axis) {
        from = from * layout_.chunk[axis] + index[axis];
        place = place * dims[axis] + origin[axis] + index[axis];
      }
      std::memcpy(to_.data() + place * type_.size, chunk.data() + from * type_.size, width);
      std::size_t axis = last;
      while (axis-- > 0) {
        if (++index[axis] < std::min(layout_.chunk[axis], dims[axis] - origin[axis])) break;
        index[axis] = 0;
      }
      if (axis == static_cast<std::size_t>(-1)) return;
    }
  }

  const Image& image_;
  const Layout& layout_;
  const Type& type_;
  const Space& space_;
  std::span<std::byte> to_;
  Filters filters_;
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t expected_ = 1;
  std::set<std::vector<std::uint64_t>> done_;
};

// The chunks of a dataset in the form of HDF5 1.10 and later.
void parse_chunks4(Cursor& cursor, std::size_t rank, std::uint32_t element, Layout& layout) {
  const auto flags = cursor.take<std::uint8_t>();
  layout.plain_edges = (flags & 1U) != 0;
  if (cursor.take<std::uint8_t>() != rank + 1) throw Damaged{"its chunks have a wrong rank"};
  const std::size_t width = cursor.take<std::uint8_t>();
  if (width == 0 || width > 8) throw Damaged{"its chunks have an impossible size"};
  for (std::size_t i = 0; i < rank; ++i) layout.chunk.push_back(cursor.take_sized(width));
  if (cursor.take_sized(width) != element)
    throw Damaged{"its chunks have elements of a wrong size"};
  const auto kind = cursor.take<std::uint8_t>();
  layout.index.kind = static_cast<ChunkIndex::Kind>(kind);
  switch (layout.index.kind) {
    case ChunkIndex::Kind::kSingle:
      if ((flags & 2U) != 0) {
        layout.index.single_size = cursor.take<std::uint64_t>();
        layout.index.single_skipped = cursor.take<std::uint32_t>();
      }
      break;
    case ChunkIndex::Kind::kImplicit:
      break;
    case ChunkIndex::Kind::kFixedArray:
      cursor.skip(1);
      break;
    case ChunkIndex::Kind::kExtensibleArray:
      cursor.skip(5);
      break;
    case ChunkIndex::Kind::kTree2:
      cursor.skip(6);
      break;
    default:
      throw Damaged{"its chunks are found in an unknown way"};
  }
  layout.index.address = cursor.take<std::uint64_t>();
}

}  // namespace

std::vector<std::string> read_strings(const Image& image, const Attribute& attribute) {
  const auto count = count_of(parse_space(attribute.space).dims);
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
                    std::size_t rank, std::uint32_t element) {
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
    parse_chunks4(cursor, rank, element, layout);
  } else {
    if (cursor.take<std::uint8_t>() != rank + 1) throw Damaged{"its chunks have a wrong rank"};
    layout.index.address = cursor.take<std::uint64_t>();
    for (std::size_t i = 0; i < rank; ++i) layout.chunk.push_back(cursor.take<std::uint32_t>());
  }
  if (std::ranges::find(layout.chunk, 0U) != layout.chunk.end()) {
    throw Damaged{"its chunks are empty"};
  }
  return layout;
}

void read_chunks(const Image& image, const Layout& layout, const Message* filters, const Type& type,
                 const Space& space, std::span<std::byte> to) {
  ChunkReader(image, layout, filters, type, space, to).read();
}

}  // namespace kerf::formats::hdf5
