#include "formats/hdf5_filters.h"

#include <libdeflate.h>

#include <algorithm>
#include <memory>

namespace kerf::formats::hdf5 {
namespace {

constexpr std::uint16_t kDeflate = 1;
constexpr std::uint16_t kShuffle = 2;
constexpr std::uint16_t kFletcher32 = 3;
constexpr std::uint16_t kLzf = 32000;

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

// LZF, in which h5py compresses if asked to: runs of literals, and copies of what stands up to
// 8 KiB before.
std::vector<std::byte> unpacked_lzf(std::span<const std::byte> from, std::size_t size) {
  Cursor cursor(from);
  std::vector<std::byte> to;
  to.reserve(size);
  while (cursor.left() != 0) {
    const auto control = cursor.take<std::uint8_t>();
    if (control < 32) {
      const auto literals = cursor.skip(control + std::size_t{1});
      to.insert(to.end(), literals.begin(), literals.end());
    } else {
      std::size_t length = control >> 5U;
      if (length == 7) length += cursor.take<std::uint8_t>();
      length += 2;
      const std::size_t distance =
          (static_cast<std::size_t>(control & 31U) << 8U) + cursor.take<std::uint8_t>() + 1;
      if (distance > to.size() || length > size - to.size()) {
        throw Damaged{"its compressed data is damaged"};
      }
      // The two may overlap: byte by byte.
      for (std::size_t i = 0; i < length; ++i) to.push_back(to[to.size() - distance]);
    }
    if (to.size() > size) throw Damaged{"its compressed data is damaged"};
  }
  if (to.size() != size) throw Damaged{"its compressed data is truncated"};
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

// Fletcher's check sum of 16-bit words, big-endian as the library has it.
std::uint32_t fletcher32(std::span<const std::byte> bytes) {
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  const auto fold = [](std::uint32_t sum) { return (sum & 0xffffU) + (sum >> 16U); };
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto high = std::to_integer<std::uint32_t>(bytes[i]) << 8U;
    const auto low = i + 1 < bytes.size() ? std::to_integer<std::uint32_t>(bytes[i + 1]) : 0U;
    first = fold(first + (high | low));
    second = fold(second + first);
  }
  return fold(second) << 16U | fold(first);
}

std::span<const std::byte> checked(std::span<const std::byte> stored) {
  if (stored.size() < 4) throw Damaged{"a chunk is truncated"};
  const auto data = stored.first(stored.size() - 4);
  const auto sum = Cursor(stored.last(4)).take<std::uint32_t>();
  if (sum != fletcher32(data)) throw Damaged{"a chunk is damaged: its check sum is wrong"};
  return data;
}

[[noreturn]] void refuse(std::uint16_t id) {
  switch (id) {
    case 4:
      throw Unusual{"it is compressed by szip; store it by gzip or plain"};
    case 5:
    case 6:
      throw Unusual{"it is packed with fewer bits; store it by gzip or plain"};
    default:
      throw Unusual{"it is compressed by a plug-in of HDF5; store it by gzip or plain"};
  }
}

}  // namespace

Filters::Filters(std::span<const std::byte> message) {
  Cursor cursor(message);
  const auto version = cursor.take<std::uint8_t>();
  const auto count = cursor.take<std::uint8_t>();
  if (version != 1 && version != 2) throw Damaged{"its filters have an unknown version"};
  if (version == 1) cursor.skip(6);
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
    if (filter.id != kDeflate && filter.id != kShuffle && filter.id != kFletcher32 &&
        filter.id != kLzf) {
      refuse(filter.id);
    }
    filters_.push_back(filter);
  }
}

std::span<const std::byte> Filters::undo(std::span<const std::byte> stored, std::size_t size,
                                         std::uint32_t skipped,
                                         std::vector<std::byte>& owned) const {
  const auto applied = [&](std::size_t i) { return i >= 32 || (skipped >> i & 1U) == 0; };
  for (std::size_t i = filters_.size(); i-- > 0;) {
    if (!applied(i)) continue;
    // What a filter made had the chunk's size, and the check sums that were appended before.
    std::size_t before = size;
    for (std::size_t k = 0; k < i; ++k)
      before += filters_[k].id == kFletcher32 && applied(k) ? 4 : 0;
    switch (filters_[i].id) {
      case kFletcher32:
        stored = checked(stored);
        break;
      case kDeflate:
        stored = owned = inflated(stored, before);
        break;
      case kLzf:
        stored = owned = unpacked_lzf(stored, before);
        break;
      default:
        stored = owned = unshuffled(stored, filters_[i].parameter);
        break;
    }
  }
  if (stored.size() != size) throw Damaged{"a chunk has a wrong size"};
  return stored;
}

}  // namespace kerf::formats::hdf5
