#pragma once

#include <cstdint>
#include <vector>

#include "formats/hdf5_cursor.h"

namespace kerf::formats::hdf5 {

// What was done to the chunks of a dataset before they were stored: gzip, LZF, shuffle, check sums
// (format specification, IV.A.2.l).
class Filters {
 public:
  Filters() = default;
  // Throws Damaged, and Unusual for other filters.
  explicit Filters(std::span<const std::byte> message);

  bool empty() const noexcept { return filters_.empty(); }
  // The `size` bytes of a chunk out of what is stored; bit i of `skipped` says that filter i was
  // not applied. Either `stored` itself or in `owned`. Throws Damaged.
  std::span<const std::byte> undo(std::span<const std::byte> stored, std::size_t size,
                                  std::uint32_t skipped, std::vector<std::byte>& owned) const;

 private:
  struct Filter {
    std::uint16_t id = 0;
    std::uint32_t parameter = 0;
  };
  std::vector<Filter> filters_;
};

}  // namespace kerf::formats::hdf5
