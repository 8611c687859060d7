#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/hdf5_cursor.h"

namespace kerf::formats::hdf5 {

// The bytes of a file by the addresses in it, which count from the end of the user block. All reads
// are checked; throws Damaged.
class Image {
 public:
  // Finds the superblock. Throws Damaged where there is none.
  explicit Image(std::span<const std::byte> file);

  std::span<const std::byte> at(std::uint64_t address, std::uint64_t size) const;
  // From an address to the end of the file.
  std::span<const std::byte> from(std::uint64_t address) const;
  std::uint64_t size() const { return bytes_.size(); }
  std::uint64_t root() const { return root_; }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t root_ = kUndefined;
};

struct Message {
  std::uint16_t type = 0;
  bool shared = false;
  std::span<const std::byte> data;
};

// Types of messages in object headers (format specification, IV.A.2).
enum MessageType : std::uint16_t {
  kSpaceMessage = 0x01,
  kLinkInfoMessage = 0x02,
  kTypeMessage = 0x03,
  kLinkMessage = 0x06,
  kExternalMessage = 0x07,
  kLayoutMessage = 0x08,
  kFilterMessage = 0x0b,
  kAttributeMessage = 0x0c,
  kContinuationMessage = 0x10,
  kSymbolTableMessage = 0x11,
  kAttributeInfoMessage = 0x15,
};

struct Attribute {
  std::span<const std::byte> type;
  std::span<const std::byte> space;
  std::span<const std::byte> data;
};

// A group or dataset: what its header says.
struct Object {
  std::vector<Message> messages;
  std::map<std::string, std::uint64_t> links;  // kUndefined for soft and external ones
  std::map<std::string, Attribute> attributes;
  bool group = false;

  const Message* find(MessageType type) const;
};
// Throws Damaged and Unusual.
Object read_object(const Image& image, std::uint64_t address);

}  // namespace kerf::formats::hdf5
