#pragma once

#include <cstdint>
#include <string_view>

namespace kerf::formats {

// CRC-32C (Castagnoli) of bytes given in pieces.
class Crc32c {
 public:
  Crc32c& add(std::string_view bytes) noexcept;
  // As LevelDB's tables and TensorFlow's bundles store it: rotated and offset, so that the sum of
  // data that holds sums is not degenerate.
  std::uint32_t masked() const noexcept;

 private:
  std::uint32_t state_ = ~std::uint32_t{0};
};

}  // namespace kerf::formats
