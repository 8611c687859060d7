#include "formats/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace kerf::formats {

Crc32c& Crc32c::add(std::string_view bytes) noexcept {
  constexpr std::size_t kPiece = std::size_t{1} << 30U;  // the library counts in int
  while (!bytes.empty()) {
    const std::string_view piece = bytes.substr(0, std::min(kPiece, bytes.size()));
    // It reads only, whatever its signature says.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
    state_ = crc32_iscsi(data, static_cast<int>(piece.size()), state_);
    bytes.remove_prefix(piece.size());
  }
  return *this;
}

std::uint32_t Crc32c::masked() const noexcept {
  const std::uint32_t crc = ~state_;
  return ((crc >> 15U) | (crc << 17U)) + 0xa282ead8U;
}

}  // namespace kerf::formats
