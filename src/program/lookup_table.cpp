#include "program/lookup_table.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "kerf/error.h"
#include "program/fingerprint.h"

namespace kerf::program {

// Open addressing with linear probing, at most half full. `tag` is a part of the hash that the
// place does not show, so that other keys are seldom compared.
struct LookupTable::Slot {
  static constexpr std::uint32_t kFree = ~std::uint32_t{0};
  std::uint32_t tag = 0;
  std::uint32_t length = kFree;
  std::uint64_t offset = 0;  // of the key in the text behind the slots
  std::int64_t value = 0;
};

namespace {

struct Header {
  std::uint64_t slots = 0;
  std::uint64_t longest = 0;
};

std::uint32_t tag_of(std::uint64_t hash) noexcept {
  return static_cast<std::uint32_t>(hash >> 32U);
}

}  // namespace

Tensor LookupTable::pack(std::span<const Entry> entries) {
  constexpr std::size_t kMost = std::size_t{1} << 30;
  std::size_t text = 0;
  Header header{.slots = std::bit_ceil(std::max<std::size_t>(entries.size() * 2, 2))};
  for (const Entry& entry : entries) {
    if (entries.size() > kMost || entry.key.size() >= Slot::kFree) {
      throw Error(ErrorCode::kResourceExhausted, "the vocabulary is too large");
    }
    text += entry.key.size();
    header.longest = std::max<std::uint64_t>(header.longest, entry.key.size());
  }
  std::vector<Slot> slots(header.slots);
  std::string keys;
  keys.reserve(text);
  for (const Entry& entry : entries) {
    const std::uint64_t hash = fingerprint(entry.key);
    std::size_t at = hash & (header.slots - 1);
    for (; slots[at].length != Slot::kFree; at = (at + 1) & (header.slots - 1)) {
      if (std::string_view(keys).substr(slots[at].offset, slots[at].length) == entry.key) {
        throw Error(ErrorCode::kInvalidFile,
                    fmt::format("the vocabulary holds '{}' twice", entry.key));
      }
    }
    slots[at] = {.tag = tag_of(hash),
                 .length = static_cast<std::uint32_t>(entry.key.size()),
                 .offset = keys.size(),
                 .value = entry.value};
    keys += entry.key;
  }
  std::vector<std::byte> packed(sizeof(header) + slots.size() * sizeof(Slot) + keys.size());
  std::byte* out = packed.data();
  std::memcpy(out, &header, sizeof(header));
  out += sizeof(header);
  std::memcpy(out, slots.data(), slots.size() * sizeof(Slot));
  out += slots.size() * sizeof(Slot);
  if (!keys.empty()) std::memcpy(out, keys.data(), keys.size());
  return Tensor::copy_of(DType::kUInt8, {std::ssize(packed)}, packed);
}

LookupTable::LookupTable(const void* packed) noexcept {
  Header header;
  std::memcpy(&header, packed, sizeof(header));
  mask_ = header.slots - 1;
  longest_ = header.longest;
  slots_ = reinterpret_cast<const Slot*>(static_cast<const char*>(packed) + sizeof(header));
  text_ = reinterpret_cast<const char*>(slots_ + header.slots);
}

const std::int64_t* LookupTable::find(std::string_view key) const noexcept {
  const std::uint64_t hash = fingerprint(key);
  for (std::size_t at = hash & mask_; slots_[at].length != Slot::kFree; at = (at + 1) & mask_) {
    const Slot& slot = slots_[at];
    if (slot.tag == tag_of(hash) && slot.length == key.size() &&
        std::memcmp(text_ + slot.offset, key.data(), key.size()) == 0) {
      return &slot.value;
    }
  }
  return nullptr;
}

}  // namespace kerf::program
