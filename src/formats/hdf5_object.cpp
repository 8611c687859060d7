#include "formats/hdf5_object.h"

#include <algorithm>
#include <functional>
#include <set>

#include "formats/hdf5_btree2.h"
#include "formats/hdf5_heap.h"

// HDF5 File Format Specification, versions 1 to 3: superblock (II), groups (III.A, III.B, III.D),
// object headers and messages (IV). Written here because the HDF5 library is not made for files
// that lie: fuzzed, version 1.10 hangs, and reads and writes out of bounds.
namespace kerf::formats::hdf5 {
namespace {

constexpr std::string_view kSignature("\x89HDF\r\n\x1a\n", 8);
// Kinds of B-trees of version 2.
constexpr std::uint8_t kLinksByName = 5;
constexpr std::uint8_t kAttributesByName = 8;

void parse_messages(Object& object, Cursor cursor, bool v2, bool ordered,
                    std::vector<std::pair<std::uint64_t, std::uint64_t>>& continuations) {
  const std::size_t head = v2 ? (ordered ? 6 : 4) : 8;
  while (cursor.left() >= head) {
    Message message;
    message.type = v2 ? cursor.take<std::uint8_t>() : cursor.take<std::uint16_t>();
    const auto size = cursor.take<std::uint16_t>();
    const auto flags = cursor.take<std::uint8_t>();
    cursor.skip(v2 ? (ordered ? 2 : 0) : 3);
    message.shared = (flags & 2U) != 0;
    message.data = cursor.skip(size);
    if (message.type == kContinuationMessage) {
      Cursor place(message.data);
      const auto address = place.take<std::uint64_t>();
      continuations.emplace_back(address, place.take<std::uint64_t>());
    } else {
      object.messages.push_back(message);
    }
  }
}

void parse_header(const Image& image, std::uint64_t address, Object& object) {
  Cursor cursor(image.from(address));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> continuations;
  const bool v2 = cursor.left() >= 4 && Cursor(cursor).text(4) == "OHDR";
  bool ordered = false;
  if (v2) {
    cursor.skip(4);
    if (cursor.take<std::uint8_t>() != 2) throw Damaged{"an object header has a wrong version"};
    const auto flags = cursor.take<std::uint8_t>();
    if ((flags & 0x20U) != 0) cursor.skip(16);
    if ((flags & 0x10U) != 0) cursor.skip(4);
    ordered = (flags & 0x04U) != 0;
    const std::uint64_t size = cursor.take_sized(std::size_t{1} << (flags & 3U));
    parse_messages(object, Cursor(cursor.skip(size)), v2, ordered, continuations);
  } else {
    if (cursor.take<std::uint8_t>() != 1) throw Damaged{"an object header has a wrong version"};
    cursor.skip(7);
    const auto size = cursor.take<std::uint32_t>();
    cursor.skip(4);
    parse_messages(object, Cursor(cursor.skip(size)), v2, ordered, continuations);
  }
  std::set<std::uint64_t> seen;
  std::uint64_t total = 0;
  for (std::size_t i = 0; i < continuations.size(); ++i) {
    const auto [at, length] = continuations[i];
    if (!seen.insert(at).second) throw Damaged{"an object header continues in itself"};
    Cursor more(image.at(at, length));
    total += length;
    if (total > image.size()) throw Damaged{"an object header is longer than the file"};
    if (v2) {
      more.expect("OCHK");
      if (more.left() < 4) throw Damaged{"an object header is truncated"};
      more = Cursor(more.skip(more.left() - 4));  // behind it stands a check sum
    }
    parse_messages(object, more, v2, ordered, continuations);
  }
}

// Names and addresses of a group in the form of the first HDF5 versions, which h5py still writes: a
// tree whose leaves are tables, with the names on a heap.
class SymbolTable {
 public:
  SymbolTable(const Image& image, Object& object) : image_(image), object_(object) {}

  void read(std::span<const std::byte> message) {
    Cursor cursor(message);
    const auto tree = cursor.take<std::uint64_t>();
    Cursor heap(image_.from(cursor.take<std::uint64_t>()));
    heap.expect("HEAP");
    heap.skip(4);
    const auto size = heap.take<std::uint64_t>();
    heap.skip(8);
    names_ = image_.at(heap.take<std::uint64_t>(), size);
    if (tree != kUndefined) read_tree(tree, 64);
  }

 private:
  void read_tree(std::uint64_t address, unsigned above) {
    visit(address);
    Cursor cursor(image_.from(address));
    cursor.expect("TREE");
    if (cursor.take<std::uint8_t>() != 0) throw Damaged{"a group has a tree of another kind"};
    const unsigned level = cursor.take<std::uint8_t>();
    if (level >= above) throw Damaged{"the tree of a group has wrong levels"};
    const auto count = cursor.take<std::uint16_t>();
    cursor.skip(16);
    for (unsigned i = 0; i < count; ++i) {
      cursor.skip(8);
      const auto child = cursor.take<std::uint64_t>();
      level == 0 ? read_table(child) : read_tree(child, level);
    }
  }

  void read_table(std::uint64_t address) {
    visit(address);
    Cursor cursor(image_.from(address));
    cursor.expect("SNOD");
    cursor.skip(2);
    const auto count = cursor.take<std::uint16_t>();
    for (unsigned i = 0; i < count; ++i) {
      const auto offset = cursor.take<std::uint64_t>();
      const auto header = cursor.take<std::uint64_t>();
      const bool soft = cursor.take<std::uint32_t>() == 2;
      cursor.skip(20);
      object_.links.emplace(name_at(offset), soft ? kUndefined : header);
    }
  }

  std::string name_at(std::uint64_t offset) {
    if (offset >= names_.size()) throw Damaged{"a name of a group is missing"};
    const auto rest = names_.subspan(offset);
    const auto end = std::ranges::find(rest, std::byte{0});
    if (end == rest.end()) throw Damaged{"a name of a group does not end"};
    const auto length = static_cast<std::size_t>(end - rest.begin());
    // Many entries may name the same bytes: together they must not grow beyond the file.
    total_ += length;
    if (total_ > image_.size()) throw Damaged{"the names of a group are longer than the file"};
    return {reinterpret_cast<const char*>(rest.data()), length};
  }

  void visit(std::uint64_t address) {
    if (!seen_.insert(address).second) throw Damaged{"the tree of a group has a cycle"};
  }

  const Image& image_;
  Object& object_;
  std::span<const std::byte> names_;
  std::set<std::uint64_t> seen_;
  std::uint64_t total_ = 0;
};

void parse_link(std::span<const std::byte> message, Object& object) {
  Cursor cursor(message);
  if (cursor.take<std::uint8_t>() != 1) throw Damaged{"a link has a wrong version"};
  const auto flags = cursor.take<std::uint8_t>();
  const auto type = (flags & 8U) != 0 ? cursor.take<std::uint8_t>() : std::uint8_t{0};
  if ((flags & 4U) != 0) cursor.skip(8);
  if ((flags & 16U) != 0) cursor.skip(1);
  const std::uint64_t length = cursor.take_sized(std::size_t{1} << (flags & 3U));
  const std::string name(cursor.text(length));
  object.links.emplace(name, type == 0 ? cursor.take<std::uint64_t>() : kUndefined);
}

void parse_attribute(std::span<const std::byte> message, Object& object) {
  Cursor cursor(message);
  const auto version = cursor.take<std::uint8_t>();
  const auto flags = cursor.take<std::uint8_t>();
  if (version < 1 || version > 3) throw Damaged{"an attribute has a wrong version"};
  if (version > 1 && (flags & 3U) != 0) throw Unusual{"an attribute has a shared type"};
  const auto name_size = cursor.take<std::uint16_t>();
  const auto type_size = cursor.take<std::uint16_t>();
  const auto space_size = cursor.take<std::uint16_t>();
  if (version == 3) cursor.skip(1);
  const auto padded = [&](std::size_t size) {
    const auto field = cursor.skip(version == 1 ? (size + 7) / 8 * 8 : size);
    return field.first(size);
  };
  const auto name = padded(name_size);
  std::string_view text(reinterpret_cast<const char*>(name.data()), name.size());
  text = text.substr(0, text.find('\0'));
  Attribute attribute;
  attribute.type = padded(type_size);
  attribute.space = padded(space_size);
  attribute.data = cursor.rest();
  object.attributes.emplace(text, attribute);
}

// Links or attributes that stand in a heap, with a tree that lists them by the hashes of their
// names; their ids are behind `before` bytes of its records. Creation orders count in `order_size`
// bytes.
void parse_heap(const Image& image, std::span<const std::byte> message, std::size_t order_size,
                std::uint8_t tree_type, std::size_t before,
                const std::function<void(std::span<const std::byte>)>& parse) {
  Cursor cursor(message);
  if (cursor.take<std::uint8_t>() != 0) throw Damaged{"an object header has a wrong version"};
  const auto flags = cursor.take<std::uint8_t>();
  if ((flags & 1U) != 0) cursor.skip(order_size);
  const auto address = cursor.take<std::uint64_t>();
  const auto tree = cursor.take<std::uint64_t>();
  if (address == kUndefined) return;
  FractalHeap heap(image, address);
  for_each_record(image, tree, tree_type, [&](Cursor record) {
    record.skip(before);
    parse(heap.object(record.skip(heap.id_size())));
  });
}

}  // namespace

Image::Image(std::span<const std::byte> file) : bytes_(file) {
  for (std::uint64_t at = 0; at + 64 <= file.size(); at = at == 0 ? 512 : at * 2) {
    Cursor cursor(file.subspan(at));
    if (cursor.text(8) != kSignature) continue;
    bytes_ = file.subspan(at);
    const auto version = cursor.take<std::uint8_t>();
    if (version > 3) throw Damaged{"the superblock has an unknown version"};
    if (version < 2) cursor.skip(4);
    if (cursor.take<std::uint8_t>() != 8 || cursor.take<std::uint8_t>() != 8) {
      throw Unusual{"its addresses are not of 8 bytes"};
    }
    cursor.skip(version == 0 ? 9 : version == 1 ? 13 : 1);
    const auto base = cursor.take<std::uint64_t>();
    if (base != at && base != 0) throw Damaged{"the superblock is not where it says"};
    if (base == 0) bytes_ = file;
    cursor.skip(version < 2 ? 32 : 16);
    root_ = cursor.take<std::uint64_t>();
    return;
  }
  throw Damaged{"it has no superblock"};
}

std::span<const std::byte> Image::from(std::uint64_t address) const {
  if (address >= bytes_.size()) throw Damaged{"an address lies outside of the file"};
  return bytes_.subspan(address);
}

std::span<const std::byte> Image::at(std::uint64_t address, std::uint64_t size) const {
  if (address > bytes_.size() || size > bytes_.size() - address) {
    throw Damaged{"an address lies outside of the file"};
  }
  return bytes_.subspan(address, size);
}

const Message* Object::find(MessageType type) const {
  const auto found = std::ranges::find(messages, type, &Message::type);
  return found == messages.end() ? nullptr : &*found;
}

Object read_object(const Image& image, std::uint64_t address) {
  Object object;
  parse_header(image, address, object);
  for (const Message& message : object.messages) {
    switch (message.type) {
      case kSymbolTableMessage:
        object.group = true;
        SymbolTable(image, object).read(message.data);
        break;
      case kLinkMessage:
        object.group = true;
        parse_link(message.data, object);
        break;
      case kLinkInfoMessage:
        object.group = true;
        parse_heap(image, message.data, 8, kLinksByName, 4,
                   [&](std::span<const std::byte> link) { parse_link(link, object); });
        break;
      case kAttributeMessage:
        if (message.shared) throw Unusual{"an attribute is shared"};
        parse_attribute(message.data, object);
        break;
      case kAttributeInfoMessage:
        parse_heap(
            image, message.data, 2, kAttributesByName, 0,
            [&](std::span<const std::byte> attribute) { parse_attribute(attribute, object); });
        break;
      default:
        break;
    }
  }
  return object;
}

}  // namespace kerf::formats::hdf5
